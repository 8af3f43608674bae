"""A whole answer, put together from its pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from forgellm.api.departure import Departure, leaving
from forgellm.api.routes import Stream
from forgellm.domain.chat import Answer, Finish, GenerationChunk, TokenProbability
from forgellm.domain.errors import ForgeError


class Cancelled(ForgeError):
    """Whoever asked has gone, so nobody reads this."""

    code = "CANCELLED"
    status = 503


@dataclass(frozen=True)
class Whole:
    """Everything that an answer consists of."""

    text: str
    thinking: str
    tokens: tuple[TokenProbability, ...]
    finish: Finish


def whole(answer: Answer) -> Whole:
    """Wait for the end of the answer; a client of this request that leaves ends it.

    Raises what the answer failed with, and Cancelled.
    """
    with leaving(answer.cancel):
        return put_together(answer)


def streamed(answer: Answer, events: Iterator[bytes]) -> Stream:
    """`events` written from the answer as it comes; a client of this request that leaves ends it."""
    departure = Departure(answer.cancel)

    def close() -> None:
        departure.stop()
        answer.cancel()

    return Stream(events, close)


def put_together(pieces: Iterable[GenerationChunk]) -> Whole:
    """The answer that has these pieces. Raises Cancelled where the last one is missing."""
    known = list(pieces)
    if not known or known[-1].finish is None:
        raise Cancelled("the answer was cut off", suggestion="Ask again.")
    return Whole(
        text="".join(piece.text for piece in known),
        thinking="".join(piece.thinking for piece in known),
        tokens=tuple(token for piece in known for token in piece.tokens),
        finish=known[-1].finish,
    )
