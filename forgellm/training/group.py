"""The machines of one run as one group: messages from the first to all others, sums over all, short answers.

Nothing here knows what a step is. Everything goes over the CPU's stream, after what it needs was computed: a
GPU that waits for a network inside a command is ended by Metal after some seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from forgellm.domain.device_failures import kind_of
from forgellm.domain.errors import HostLost

_BUCKET_BYTES = 32 << 20
"""What travels together: a transfer costs a round trip, and a copy of that size."""

_FIRST_BYTES = 4096
"""What a message begins with; whatever is said of a step has room in it."""

_ANSWER_BYTES = 2048


@dataclass(frozen=True)
class Message:
    """What the first machine says to all: plain `values` of JSON, and arrays."""

    kind: str
    values: Mapping[str, object]
    arrays: list[mx.array]


class Group:
    """This process's place among the others; rank 0 leads. Where one is gone every call raises HostLost."""

    def __init__(self, backend: str) -> None:
        self._group = mx.distributed.init(strict=True, backend=backend)
        self.rank, self.size = self._group.rank(), self._group.size()

    def send(
        self, kind: str, values: Mapping[str, object] | None = None, arrays: Sequence[mx.array] = ()
    ) -> None:
        """Say something to all others, from rank 0."""
        forms = [[str(array.dtype).removeprefix("mlx.core."), list(array.shape)] for array in arrays]
        text = json.dumps({"kind": kind, "values": values or {}, "forms": forms}).encode()
        said = len(text).to_bytes(4, "little") + text
        for piece in (said[:_FIRST_BYTES].ljust(_FIRST_BYTES, b"\0"), said[_FIRST_BYTES:]):
            if piece:
                self._sum(_words([mx.array(np.frombuffer(piece, np.uint8))]))
        for bucket in _buckets(arrays):
            self._sum(_words([_bytes_of(arrays[number]) for number in bucket]))

    def receive(self) -> Message:
        """The next message, on all others."""
        first = np.array(self._nothing(_FIRST_BYTES)).tobytes()
        end = 4 + int.from_bytes(first[:4], "little")
        rest = np.array(self._nothing(end - _FIRST_BYTES)).tobytes() if end > _FIRST_BYTES else b""
        said = json.loads((first + rest)[4:end])
        arrays = [mx.zeros(shape, _dtype(dtype)) for dtype, shape in said["forms"]]
        for bucket in _buckets(arrays):
            data = self._nothing(sum(arrays[number].nbytes for number in bucket)).view(mx.uint8)
            place = 0
            for number in bucket:
                form = arrays[number]
                piece = data[place : place + form.nbytes]
                arrays[number] = piece.view(form.dtype).reshape(form.shape)
                place += form.nbytes
        mx.eval(arrays)
        return Message(said["kind"], said["values"], arrays)

    def total(self, arrays: Sequence[mx.array]) -> list[mx.array]:
        """Each array summed over all machines, in its own type; they are the same on each."""
        summed = list(arrays)
        for dtype in dict.fromkeys(array.dtype for array in arrays):
            alike = [number for number, array in enumerate(arrays) if array.dtype == dtype]
            for bucket in _buckets([arrays[number] for number in alike]):
                numbers = [alike[place] for place in bucket]
                flat = self._sum(mx.concatenate([arrays[number].reshape(-1) for number in numbers]))
                ends = np.cumsum([arrays[number].size for number in numbers])[:-1].tolist()
                for number, piece in zip(numbers, mx.split(flat, ends), strict=True):
                    summed[number] = piece.reshape(arrays[number].shape)
        return summed

    def answers(self, text: str = "") -> list[str]:
        """What each machine says, in order of rank, to all of them; long texts are cut."""
        row = np.zeros((self.size, _ANSWER_BYTES), np.uint8)
        said = text.encode()[:_ANSWER_BYTES]
        row[self.rank, : len(said)] = np.frombuffer(said, np.uint8)
        table = np.array(self._sum(_words([mx.array(row).reshape(-1)]))).view(np.uint8)
        rows = table.reshape(self.size, _ANSWER_BYTES)
        return [bytes(one).rstrip(b"\0").decode(errors="replace") for one in rows]

    def _nothing(self, size: int) -> mx.array:
        """`size` bytes, as whole words, from the one who has something to say."""
        return self._sum(mx.zeros(-(-size // 4), mx.int32))

    def _sum(self, array: mx.array) -> mx.array:
        mx.eval(array)
        try:
            summed = mx.distributed.all_sum(array, group=self._group, stream=mx.cpu)
            mx.eval(summed)
        except RuntimeError as error:
            if kind_of(error) is not None:
                raise
            raise HostLost(
                f"the machines lost each other: {error}",
                suggestion="See that they and their network are up, then resume the run.",
            ) from error
        return summed


def _dtype(name: str) -> mx.Dtype:
    found: mx.Dtype = getattr(mx, "bool_" if name == "bool" else name)
    return found


def _bytes_of(array: mx.array) -> mx.array:
    # As whole numbers nothing is rounded by adding zeros, and -0.0 stays what it is.
    return mx.contiguous(array.reshape(-1)).view(mx.uint8)


def _words(pieces: Sequence[mx.array]) -> mx.array:
    """The bytes one after another, as int32."""
    rest = -sum(piece.size for piece in pieces) % 4
    return mx.concatenate([*pieces, mx.zeros(rest, mx.uint8)]).view(mx.int32)


def _buckets(arrays: Sequence[mx.array]) -> Iterator[list[int]]:
    """The numbers of the arrays that travel together."""
    bucket: list[int] = []
    size = 0
    for number, array in enumerate(arrays):
        if bucket and size + array.nbytes > _BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append(number)
        size += array.nbytes
    if bucket:
        yield bucket
