"""Server-sent events: how pieces of an answer are written to a client that reads while it is computed."""

from __future__ import annotations

from forgellm.api.json_text import write_json

EVENTS = "text/event-stream"

LAST = b"data: [DONE]\n\n"
"""With which OpenAI's streams end."""


def event(value: object) -> bytes:
    """One event with `value` as JSON, which has no line breaks."""
    return b"data: " + write_json(value) + b"\n\n"
