"""One client's connection: how long it may take, and that whatever is sent on it is sent whole."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# What a body has to bring on average: a slower one holds a thread for nothing.
_BYTES_PER_SECOND = 1024
_DRAINED_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Limits:
    """`head_seconds`: for a request's head to come. `idle_seconds`: for a body to begin, for an answer to be
    taken, and for an open WebSocket without a message, so it is to exceed Engine.IO's 25 s between two pings.
    `drain_seconds`: for the rest of a body that nobody wanted. `connections`: at the same time."""

    head_seconds: float = 10.0
    idle_seconds: float = 60.0
    drain_seconds: float = 2.0
    connections: int = 512


class Connection(socket.socket):
    """A socket that sends everything or fails, one message after the other. Whoever handles its request sets
    `asked` when a request has come that is to be answered, and `answered` when the answer begins.

    A socket with a timeout may take a part of what it is given, which the WebSocket library does not expect,
    and that library sends from two threads.
    """

    def __init__(self, accepted: socket.socket, limits: Limits) -> None:
        # Without a family the system is asked for it, which macOS refuses for a connection that was reset
        # meanwhile; its descriptor would stay open.
        family, kind, proto = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, proto, fileno=accepted.detach())
        self.limits = limits
        self.asked = self.answered = False
        self._sending = threading.Lock()

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        try:
            self.sendall(data, flags)
        except OSError as error:
            # The one error that the WebSocket library expects of a client that has gone.
            raise BrokenPipeError(error.errno, "the client has gone") from error
        return memoryview(data).nbytes

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        with self._sending:
            try:
                super().sendall(data, flags)
            except TimeoutError:
                # Half a message may be out: nothing that follows would be understood.
                self.end()
                raise

    def end(self) -> None:
        """Nothing more is read or sent; whoever waits for this socket wakes up."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


class RequestStream(io.BufferedReader):
    """What a client sends, within the time it is given: for the head as a whole, then for the body."""

    def __init__(self, connection: Connection, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = _Source(connection, monotonic)
        super().__init__(self._source)

    def begin_body(self, *, invited: bool) -> None:
        """The head has come. A client that waits to be `invited` is, when its body is first asked for."""
        self._source.begin(Phase.BODY)
        self._source.invites = invited

    def begin_rest(self) -> None:
        """The request is answered; what still comes is thrown away, and the end is in sight."""
        self._source.begin(Phase.REST)

    def read(self, size: int | None = -1, /) -> bytes:
        if self._source.phase is Phase.REST:
            # Werkzeug asks for 10 MB at once to throw them away.
            return self.read1(_DRAINED_AT_ONCE)
        data = super().read(size)
        if size is not None and len(data) < size:
            # Werkzeug's reader of chunks would take what is missing for zeros, or worse.
            raise ConnectionResetError("the client left in the middle of its body")
        return data


class Phase(Enum):
    """What is expected from the client."""

    HEAD = "head"
    BODY = "body"
    REST = "rest"


class _Source(io.RawIOBase):
    """The bytes as they come; TimeoutError where they do not, the end of the stream where nobody cares."""

    invites = False

    def __init__(self, connection: Connection, monotonic: Callable[[], float]) -> None:
        self._connection = connection
        self._limits = connection.limits
        self._monotonic = monotonic
        self.begin(Phase.HEAD)

    def begin(self, phase: Phase) -> None:
        self.phase = phase
        self._began: float | None = None
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self.invites and self.phase is Phase.BODY:
            self.invites = False
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            self._connection.settimeout(self._left())
            count = self._connection.recv_into(buffer)
        except TimeoutError:
            if self.phase is Phase.REST:
                return 0
            raise
        finally:
            self._connection.settimeout(self._limits.idle_seconds)
        self._received += count
        return count

    def _left(self) -> float:
        now = self._monotonic()
        if self._began is None:
            self._began = now
        left = self._began + self._allowed() - now
        if left <= 0:
            raise TimeoutError("the client took too long")
        return left

    def _allowed(self) -> float:
        if self.phase is Phase.HEAD:
            return self._limits.head_seconds
        if self.phase is Phase.REST:
            return self._limits.drain_seconds
        return self._limits.idle_seconds + self._received / _BYTES_PER_SECOND
