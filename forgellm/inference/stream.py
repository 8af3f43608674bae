"""An answer on its way from the engine's thread to whoever asked. Leaving it ends the generation."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from forgellm.domain.chat import GenerationChunk
from forgellm.domain.errors import ForgeError


class AnswerStream:
    """Filled by one thread, read by another. `accepted` is when the request came, in monotonic seconds."""

    def __init__(self, accepted: float) -> None:
        self.accepted = accepted
        self.cancelled = False
        self._chunks: queue.SimpleQueue[GenerationChunk | ForgeError | None] = queue.SimpleQueue()

    def put(self, chunk: GenerationChunk) -> None:
        """One more piece; nothing is put after one with `finish`."""
        self._chunks.put(chunk)

    def fail(self, error: ForgeError) -> None:
        """The answer ends with `error`."""
        self._chunks.put(error)

    def cancel(self) -> None:
        """Nobody reads any more: the engine computes no further, and whoever waits for a piece goes on."""
        self.cancelled = True
        self._chunks.put(None)

    def __iter__(self) -> Iterator[GenerationChunk]:
        """The pieces as they come, up to the one with `finish`, or to a cancellation.

        Raises what the answer failed with.
        """
        try:
            while (chunk := self._chunks.get()) is not None:
                if isinstance(chunk, ForgeError):
                    raise chunk
                yield chunk
                if chunk.finish is not None:
                    return
        finally:
            self.cancel()
