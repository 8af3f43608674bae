"""Socket.IO: the events that clients send, and the post that carries messages to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engineio.exceptions import EngineIOError  # type: ignore[import-untyped]  # it has no stubs
from flask import Flask, request
from flask_socketio import SocketIO
from pydantic import Field, ValidationError

from forgellm.api.errors import error_body
from forgellm.api.http import invalid_field
from forgellm.api.json_text import write_json
from forgellm.api.routes import Body
from forgellm.domain.errors import ForgeError, RunNotFound
from forgellm.forge import Forge
from forgellm.services.current import named_or_current
from forgellm.web.live import Live

MAX_MESSAGE = 1 << 16
"""Bytes that a client may send at once; a subscription has fifty."""


class Subscription(Body):
    training_id: str | None = Field(None, description="id or number of a run; the current one if left out")
    after: int = Field(0, ge=0, le=10**15, description="the last `seq` that is known; 0 replays everything")


class FiniteJson:
    """What Socket.IO writes with: NaN in a message makes its clients disconnect."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        return write_json(value).decode()

    @staticmethod
    def loads(text: str, **_: object) -> object:
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class SocketPost:
    """Messages to the clients of one Socket.IO server."""

    def __init__(self, sockets: SocketIO) -> None:
        self._sockets = sockets

    def send(self, client: str, name: str, message: Mapping[str, object]) -> None:
        # What python-socketio raises where the client leaves at this moment.
        with suppress(KeyError, EngineIOError):
            self._sockets.emit(name, message, to=client)

    def waiting(self, client: str) -> int | None:
        # python-socketio tells nobody how long its queue is, and does not bound it.
        server = self._sockets.server  # type: ignore[attr-defined]  # its stubs leave it out
        try:
            socket = server.eio.sockets.get(server.manager.eio_sid_from_sid(client, "/"))
        except KeyError:
            # The last client of all is leaving at this moment.
            return None
        return None if socket is None else int(socket.queue.qsize())


def sockets(app: Flask, origins: list[str]) -> SocketIO:
    """The Socket.IO server of `app`; only pages from `origins` may connect."""
    return SocketIO(
        app,
        async_mode="threading",
        cors_allowed_origins=origins,
        json=FiniteJson,
        # In the order they were sent, and no thread for each: who sends quickly waits for the answers.
        async_handlers=False,
        max_http_buffer_size=MAX_MESSAGE,
        cors_credentials=False,
        manage_session=False,
    )


def listen(server: SocketIO, forge: Forge, live: Live) -> None:
    """Answer what clients send: subscribe_training and unsubscribe_training."""

    def subscribe(data: Any = None) -> dict[str, object]:
        client: str = request.sid  # type: ignore[attr-defined]
        try:
            wish = _subscription(data)
            run = named_or_current(forge, wish.training_id)
            if run is None:
                raise RunNotFound(
                    "nothing was trained in this workspace yet", suggestion="Start a training run first."
                )
            live.watch(client, run, after=wish.after)
        except ForgeError as error:
            server.emit("training_error", _refusal(error, data), to=client)
            return error_body(error)
        return {"success": True, "training_id": run.id, "after": wish.after}

    def unsubscribe(data: Any = None) -> dict[str, object]:
        named = data.get("training_id") if isinstance(data, dict) else None
        live.forget(request.sid, named if isinstance(named, str) else None)  # type: ignore[attr-defined]
        return {"success": True}

    def disconnect(*_: object) -> None:
        live.forget(request.sid)  # type: ignore[attr-defined]

    server.on_event("subscribe_training", subscribe)
    server.on_event("unsubscribe_training", unsubscribe)
    server.on_event("disconnect", disconnect)


def _subscription(data: object) -> Subscription:
    try:
        return Subscription.model_validate({} if data is None else data)
    except ValidationError as error:
        raise invalid_field(Subscription, error) from error


def _refusal(error: ForgeError, data: object) -> dict[str, object]:
    named = data.get("training_id") if isinstance(data, dict) else None
    return {
        "training_id": named if isinstance(named, str) else None,
        "seq": 0,
        "state": None,
        "error": error.message,
        "error_code": error.code,
        "iteration": None,
        "suggestion": error.suggestion,
    }
