"""Socket.IO: the events that clients send, and the post that carries messages to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from engineio import Server  # type: ignore[import-untyped]  # it has no stubs
from engineio.exceptions import EngineIOError  # type: ignore[import-untyped]  # it has no stubs
from flask import Flask, request
from flask_socketio import SocketIO
from pydantic import Field, ValidationError
from socketio.packet import EVENT  # type: ignore[import-untyped]  # it has no stubs

from forgellm.api.errors import error_body
from forgellm.api.json_text import write_json
from forgellm.api.places import Places
from forgellm.api.routes import Body
from forgellm.api.wrong_fields import invalid_field
from forgellm.domain.errors import ForgeError, InvalidField, RunNotFound
from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.services.current import named_or_current
from forgellm.web.live import Live

MAX_MESSAGE = 1 << 16
"""Bytes that a client may send at once; a subscription has fifty."""


class Subscription(Body):
    training_id: str | None = Field(None, description="id or number of a run; the current one if left out")
    after: int = Field(0, ge=0, le=10**15, description="the last `seq` that is known; 0 replays everything")


class Unsubscription(Body):
    training_id: str | None = Field(None, description="id or number of a run; all of them if left out")


Wish = TypeVar("Wish", bound=Body)


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
    """Messages to the clients of one Socket.IO server, without the places that a failure may name."""

    def __init__(self, sockets: SocketIO, known: Places) -> None:
        self._sockets = sockets
        self._known = known

    def send(self, client: str, name: str, message: Mapping[str, object]) -> None:
        text = write_json([name, message])
        if self._known.are_in(text):
            text = write_json([name, self._known.hidden(message)])
        server = self._sockets.server  # type: ignore[attr-defined]  # its stubs leave it out
        # What python-socketio raises where the client leaves at this moment. Its `emit` would look through
        # all events for binary data and write them once more.
        with suppress(KeyError, EngineIOError):
            server.eio.send(server.manager.eio_sid_from_sid(client, "/"), f"{EVENT}{text.decode()}")

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
    server = SocketIO(
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
    _hang_up_at_once(server.server.eio)  # type: ignore[attr-defined]  # its stubs leave it out
    return server


def _hang_up_at_once(engine: Server) -> None:
    """Where a poll breaks the protocol, Engine.IO answers only when that client has taken all its messages,
    which is never.
    """

    def disconnect(client: str) -> None:
        socket = engine.sockets.pop(client, None)
        if socket is not None:
            socket.close(wait=False, reason=engine.reason.SERVER_DISCONNECT)

    engine.disconnect = disconnect


def listen(server: SocketIO, forge: Forge, live: Live) -> None:
    """Answer what clients send: subscribe_training and unsubscribe_training."""

    def subscribe(*data: object) -> dict[str, object]:
        client: str = request.sid  # type: ignore[attr-defined]
        try:
            wish = _wish(Subscription, data)
            run = _found(forge, wish.training_id)
            after = live.watch(client, run, after=wish.after)
        except (ForgeError, OSError) as error:
            failure = _named(error)
            server.emit("training_error", _refusal(failure, data), to=client)
            return error_body(failure)
        return {"success": True, "training_id": run.id, "after": after}

    def unsubscribe(*data: object) -> dict[str, object]:
        try:
            wish = _wish(Unsubscription, data)
        except ForgeError as error:
            return error_body(error)
        live.forget(request.sid, wish.training_id)  # type: ignore[attr-defined]
        return {"success": True}

    def disconnect(*_: object) -> None:
        live.forget(request.sid)  # type: ignore[attr-defined]

    server.on_event("subscribe_training", subscribe)
    server.on_event("unsubscribe_training", unsubscribe)
    server.on_event("disconnect", disconnect)


def _wish(model: type[Wish], data: Sequence[object]) -> Wish:
    """What came with an event: one object, or nothing at all."""
    if len(data) > 1:
        raise InvalidField(
            f"{len(data)} values were sent", suggestion="Send one object, and a callback if you like."
        )
    try:
        return model.model_validate({} if data in ((), (None,)) else data[0])
    except ValidationError as error:
        raise invalid_field(model, error) from error


def _found(forge: Forge, key: str | None) -> Run:
    run = named_or_current(forge, key)
    if run is None:
        raise RunNotFound(
            "nothing was trained in this workspace yet", suggestion="Start a training run first."
        )
    return run


def _named(error: ForgeError | OSError) -> ForgeError:
    """The failure to tell of: too many open files, a share that is away."""
    if isinstance(error, ForgeError):
        return error
    return ForgeError(f"the run cannot be read: {error.strerror}", suggestion="Try again in a moment.")


def _refusal(error: ForgeError, data: Sequence[object]) -> dict[str, object]:
    named = data[0].get("training_id") if data and isinstance(data[0], dict) else None
    return {
        "training_id": named if isinstance(named, str) else None,
        "seq": 0,
        "state": None,
        "error": error.message,
        "error_code": error.code,
        "iteration": None,
        "suggestion": error.suggestion,
    }
