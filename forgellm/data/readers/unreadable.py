"""Why a file gives no text, said so that a person knows what to do."""

from __future__ import annotations

MOST_CHARACTERS = 200_000_000
"""Of one document. The longest novel has three million; what is longer is a bomb, or many documents."""


class Unreadable(Exception):
    """A file that a reader refuses; becomes a `Problem` where the file's name is known."""

    def __init__(self, reason: str, suggestion: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion


def check_length(characters: int) -> None:
    """Raises Unreadable where a document has become longer than any real one."""
    if characters > MOST_CHARACTERS:
        raise Unreadable(f"gives more than {MOST_CHARACTERS:,} characters of text", "Split it.")
