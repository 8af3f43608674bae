"""/ws/training, a plain WebSocket: the status of the current training job, whenever it has changed.

It is ModelForge's; the page and its like are told of every event over Socket.IO.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress

from flask import Flask, Response, request
from simple_websocket import ConnectionClosed, Server  # type: ignore[import-untyped]  # it has no stubs

from forgellm.api.json_text import write_json
from forgellm.api.modelforge import MODELFORGE, training
from forgellm.api.places import Places
from forgellm.domain.errors import ForgeError
from forgellm.forge import Forge

PATH = "/ws/training"
_LOOK_SECONDS = 0.25
# More often than a connection may be silent.
_PING_SECONDS = 25
_LARGEST_MESSAGE = 1 << 12


def add_training_socket(app: Flask, forge: Forge, known: Places) -> None:
    """Add the WebSocket at its path, and once more below ModelForge's prefix."""

    news = _News(forge, known)

    def training_socket() -> Response:
        socket = Server.accept(
            request.environ, ping_interval=_PING_SECONDS, max_message_size=_LARGEST_MESSAGE
        )
        with suppress(ConnectionClosed, OSError):
            _tell(socket, news)
        # The client has gone: nobody reads this.
        return Response()

    for path in (PATH, MODELFORGE.prefix + PATH):
        app.add_url_rule(path, endpoint=f"socket.{path}", view_func=training_socket, websocket=True)


class _News:
    """The status as text, looked up for all sockets together and at most once in `_LOOK_SECONDS`."""

    def __init__(self, forge: Forge, known: Places) -> None:
        self._forge = forge
        self._known = known
        self._lock = threading.Lock()
        self._text = ""
        self._looked = -math.inf

    def latest(self) -> str:
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._text = self._look()
                self._looked = time.monotonic()
            return self._text

    def _look(self) -> str:
        try:
            status = training.status(self._forge)
        except ForgeError:
            # Files that cannot be read for the moment: the next look may see more.
            return self._text
        return write_json(self._known.hidden(status.model_dump())).decode()


def _tell(socket: Server, news: _News) -> None:
    """Until the client leaves, or speaks: nobody listens, and what it says would pile up."""
    told = ""
    heard = None
    while heard is None:
        text = news.latest()
        if text != told:
            socket.send(text)
            told = text
        heard = socket.receive(timeout=_LOOK_SECONDS)
    socket.close()
