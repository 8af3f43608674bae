"""What the server writes about itself: one record is one line, whatever is in it."""

from __future__ import annotations

import logging


class OneRecord(logging.Formatter):
    """Shows control characters instead of writing them; further lines of a traceback are indented, so that
    none of them can pass for a record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return _shown(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        first, *rest = super().format(record).split("\n")
        return "\n".join([first, *(f"    {_shown(line)}" for line in rest)])


def log_to_stderr(*, debug: bool) -> None:
    """Warnings and errors; with `debug` also every request and refusal."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneRecord())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("forgellm").setLevel(logging.DEBUG if debug else logging.WARNING)
    for name in ("engineio.server", "socketio.server"):
        # Where no level is set they write past this formatter, and what they write came from clients.
        logging.getLogger(name).setLevel(logging.ERROR)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
