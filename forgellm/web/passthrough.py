"""What is asked of the model goes on to the model server, and its answer comes back as it is computed.

Nothing is understood or kept here. A client that leaves this server has left that one as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote, urlsplit

from flask import Flask, Response, request

from forgellm.api.answers import Cancelled
from forgellm.api.departure import Departure, leaving
from forgellm.api.events import EVENTS, event
from forgellm.api.http import add_rule, sent_body, telling
from forgellm.api.routes import Route
from forgellm.domain.errors import ForgeError
from forgellm.forge import Forge
from forgellm.storage.model_server import read_crash, running_at

_SECONDS_TO_CONNECT = 5.0
_SECONDS_TO_LOOK = 15.0
"""Until the answer to a GET, for which no model computes anything; pages wait for twice as long."""
_PIECE = 1 << 16
_PASSED_BACK = ("Content-Type", "Retry-After")


class ModelServerNotRunning(ForgeError):
    """Nobody is there who could answer with a model."""

    code = "MODEL_SERVER_NOT_RUNNING"
    status = 503


class ModelServerSilent(ForgeError):
    """It runs, and does not answer what it could answer at once."""

    code = "MODEL_SERVER_SILENT"
    status = 504


def pass_on(app: Flask, forge: Forge, routes: Iterable[Route], *, token: str | None) -> None:
    """Add a rule for every route. `token` is what the model server asks for, the same as this one."""

    def forward(**_: object) -> Response:
        line = Line(_address(forge), forge)
        with ExitStack() as undo:
            undo.callback(line.close)
            response = _answered(line, sent_body(), forge=forge, token=token)
            undo.pop_all()
        return response

    for route in routes:
        add_rule(app, route, forward)


class Line:
    """A connection to the model server, for one request. `end` may be called from any thread."""

    def __init__(self, url: str, forge: Forge) -> None:
        """Raises ModelServerNotRunning."""
        address = urlsplit(url)
        self._forge = forge
        self._ended = False
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=_SECONDS_TO_CONNECT)
        try:
            self._connection.connect()
        except OSError as error:
            raise not_running(forge) from error
        # A model may take minutes to load, and an answer minutes to begin.
        self._connection.sock.settimeout(_SECONDS_TO_LOOK if request.method == "GET" else None)
        self._socket = self._connection.sock

    def ask(self, body: bytes, *, token: str | None) -> HTTPResponse:
        """Send this request; the answer's head has come. Raises ModelServerNotRunning, ModelServerSilent,
        Cancelled.
        """
        headers = {"Content-Type": "application/json"} if body else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        query = request.query_string.decode("latin-1")
        target = quote(request.path) + (f"?{query}" if query else "")
        try:
            self._connection.request(request.method, target, body, headers)
            return self._connection.getresponse()
        except TimeoutError as error:
            raise ModelServerSilent(
                f"the model server has not answered for {_SECONDS_TO_LOOK:.0f} s",
                suggestion="The machine may be short of memory, or its process was stopped. If it stays so, "
                "end it: `forgellm start` starts it again.",
            ) from error
        except (OSError, HTTPException) as error:
            raise self.broken() from error

    def read(self, response: HTTPResponse) -> bytes:
        """All of the answer. Raises ModelServerNotRunning, Cancelled."""
        try:
            return response.read()
        except (OSError, HTTPException) as error:
            raise self.broken() from error

    def pieces(self, response: HTTPResponse) -> Iterator[bytes]:
        """The answer as it comes. Raises ModelServerNotRunning, Cancelled."""
        try:
            while piece := response.read1(_PIECE):
                yield piece
        except (OSError, HTTPException) as error:
            raise self.broken() from error

    def broken(self) -> ForgeError:
        """Why nothing more comes."""
        if self._ended:
            return Cancelled("the client has gone")
        return ModelServerNotRunning(
            "the model server went away in the middle of an answer",
            suggestion="`forgellm start` starts it again; ask once more in a moment.",
        )

    def end(self) -> None:
        """Hang up: the model server computes no further."""
        self._ended = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and let go of the socket, once nobody reads any more."""
        self.end()
        self._connection.close()


def not_running(forge: Forge) -> ModelServerNotRunning:
    """With the signal of its last crash, if that is why."""
    crash = read_crash(forge.workspace)
    return ModelServerNotRunning(
        "no model server runs in this workspace",
        details={} if crash is None else {"signal": crash.signal, "exit_code": crash.exit_code},
        suggestion="Start it with `forgellm server`; `forgellm start` runs both servers.",
    )


def _address(forge: Forge) -> str:
    url = running_at(forge.workspace)
    if url is None:
        raise not_running(forge)
    return url


def _answered(line: Line, body: bytes, *, forge: Forge, token: str | None) -> Response:
    with leaving(line.end):
        found = line.ask(body, token=token)
        streams = found.headers.get_content_type() == EVENTS
        whole = b"" if streams else line.read(found)
    headers = [(name, value) for name in _PASSED_BACK if (value := found.headers.get(name)) is not None]
    if not streams:
        line.close()
        return Response(whole, status=found.status, headers=headers)
    departure = Departure(line.end)

    def close() -> None:
        departure.stop()
        line.close()

    response = Response(_events(line, found, tell=telling(forge)), status=found.status, headers=headers)
    response.call_on_close(close)
    return response


def _events(
    line: Line, response: HTTPResponse, *, tell: Callable[[ForgeError], dict[str, object]]
) -> Iterator[bytes]:
    try:
        yield from line.pieces(response)
    except ForgeError as error:
        yield event(tell(error))
