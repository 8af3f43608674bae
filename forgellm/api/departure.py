"""Noticing that a client has gone while its answer is still being computed.

A server that writes only when it has something to say learns of it late: the model would go on for nobody.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import request

_LOOK_SECONDS = 0.2


class Departure:
    """Calls `on_leave` from a thread of its own as soon as the client of this request has hung up, until
    `stop`. Without a socket, as in a test without a server, nobody can leave.
    """

    def __init__(self, on_leave: Callable[[], None]) -> None:
        self._on_leave = on_leave
        self._over = threading.Event()
        connection = request.environ.get("werkzeug.socket")
        if connection is not None:
            watch = threading.Thread(target=self._watch, args=(connection,), name="departure", daemon=True)
            watch.start()

    def stop(self) -> None:
        """The answer is complete."""
        self._over.set()

    def _watch(self, connection: socket.socket) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if has_left(connection):
                self._on_leave()
                return


@contextmanager
def leaving(on_leave: Callable[[], None]) -> Iterator[None]:
    """Call `on_leave` if the client of this request hangs up while the block runs."""
    departure = Departure(on_leave)
    try:
        yield
    finally:
        departure.stop()


def has_left(connection: socket.socket) -> bool:
    """Whether the other side has hung up. Nothing is read, and nothing is waited for."""
    try:
        # A socket with a time limit waits in recv whatever its flags say.
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        # Closed here or reset there.
        return True
