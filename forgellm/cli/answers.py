"""Reading an answer as it comes, and saying how it went. What it belongs to is not known here."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from forgellm.cli.tables import figure
from forgellm.domain.chat import Answer, Finish


@dataclass(frozen=True)
class Reply:
    """What a model said, as far as it came; without `finish` it was stopped by Ctrl-C."""

    text: str
    thinking: str
    finish: Finish | None


def read_answer(
    answer: Answer, *, on_text: Callable[[str], None], on_thinking: Callable[[str], None]
) -> Reply:
    """Hand each piece on as it comes; Ctrl-C ends the generation. Raises what the answer failed with."""
    text, thinking = "", ""
    finish = None
    try:
        for chunk in answer:
            thinking += chunk.thinking
            text += chunk.text
            finish = chunk.finish
            if chunk.thinking:
                on_thinking(chunk.thinking)
            if chunk.text:
                on_text(chunk.text)
    except KeyboardInterrupt:
        pass
    finally:
        answer.cancel()
    return Reply(text, thinking, finish)


def stats_line(reply: Reply) -> str:
    """`12 tokens, 45.1 tokens/s, first token after 0.12 s, 34 prompt tokens (20 known), ended by length`."""
    finish = reply.finish
    if finish is None:
        return "stopped"
    return ", ".join(
        [
            f"{finish.completion_tokens} tokens",
            f"{figure(finish.tokens_per_second, '.1f')} tokens/s",
            f"first token after {figure(finish.first_token_seconds, '.2f')} s",
            f"{finish.prompt_tokens} prompt tokens ({finish.cached_tokens} known)",
            f"ended by {finish.reason}",
        ]
    )


def harmless(text: str) -> str:
    """`text` for a terminal: a model must not move its cursor, nor say anything to it but words."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def valid_text(text: str) -> str:
    """`text` from a terminal or an argument; bytes that were no UTF-8 become the sign for that."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
