"""/ws/training, a plain WebSocket: the status of the current training job, whenever it has changed.

It is ModelForge's; the page and its like are told of every event over Socket.IO.
"""

from __future__ import annotations

from contextlib import suppress

from flask import Flask, Response, request
from simple_websocket import ConnectionClosed, Server  # type: ignore[import-untyped]  # it has no stubs

from forgellm.api.json_text import write_json
from forgellm.api.modelforge import MODELFORGE, training
from forgellm.api.places import Places
from forgellm.forge import Forge

PATH = "/ws/training"
_LOOK_SECONDS = 0.25
# More often than a connection may be silent.
_PING_SECONDS = 25
_LARGEST_MESSAGE = 1 << 12


def add_training_socket(app: Flask, forge: Forge, known: Places) -> None:
    """Add the WebSocket at its path, and once more below ModelForge's prefix."""

    def training_socket() -> Response:
        socket = Server.accept(
            request.environ, ping_interval=_PING_SECONDS, max_message_size=_LARGEST_MESSAGE
        )
        with suppress(ConnectionClosed):
            _tell(socket, forge, known)
        # The client has gone: nobody reads this.
        return Response()

    for path in (PATH, MODELFORGE.prefix + PATH):
        app.add_url_rule(path, endpoint=f"socket.{path}", view_func=training_socket, websocket=True)


def _tell(socket: Server, forge: Forge, known: Places) -> None:
    """Until the client leaves. What it says is passed over."""
    told = b""
    while True:
        text = write_json(known.hidden(training.status(forge).model_dump()))
        if text != told:
            socket.send(text.decode())
            told = text
        socket.receive(timeout=_LOOK_SECONDS)
