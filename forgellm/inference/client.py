"""A resident model behind a model server's HTTP: the routes below /api/model, with answers as they come.

Standard library only, so that a command line may ask a server without importing what a server is made of.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from forgellm.domain.chat import (
    Finish,
    GenerationChunk,
    GenerationRequest,
    ModelStatus,
    Target,
    TokenProbability,
)
from forgellm.domain.errors import ForgeError, InvalidField, revived

_SECONDS_TO_CONNECT = 10.0
_GB = 1e9


class ServerUnreachable(ForgeError):
    """No model server answers at that address, or it went away in the middle of an answer."""

    code = "SERVER_UNREACHABLE"
    status = 503


class RemoteModel:
    """A `ModelService` over HTTP. `url` is a server's address, `token` what it was started with."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Nothing is connected yet. Raises InvalidField where `url` is no address."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise InvalidField(
                f"{url!r:.200} is not the address of a server",
                details={"field": "server"},
                suggestion="Give one such as http://127.0.0.1:5001.",
            )
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._place = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")
        self._token = token

    def load(self, target: Target, *, force: bool = False) -> None:
        """Begin to make `target` resident. Raises what the server answers for one that it cannot load."""
        wish: dict[str, object] = {"model_name": target.model_name}
        if force:
            wish["force"] = True
        if target.adapter_path is not None:
            wish["adapter_path"] = target.adapter_path
        self._values("POST", "/api/model/load", wish)

    def unload(self) -> None:
        """Let go of the model."""
        self._values("POST", "/api/model/unload")

    def status(self) -> ModelStatus:
        """What is resident there now, or being loaded."""
        return _status(self._values("GET", "/api/model/status"))

    def generate(self, request: GenerationRequest) -> RemoteAnswer:
        """Ask the resident model. Raises what the server answers, InvalidField for what cannot be sent."""
        return RemoteAnswer(*self._send("POST", "/api/model/generate", _wish(request)))

    def _values(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        _, response = self._send(method, path, body)
        try:
            with response:
                values = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise self._unreachable(error) from error
        return values if isinstance(values, dict) else {}

    def _send(self, method: str, path: str, body: object = None) -> tuple[socket.socket, HTTPResponse]:
        """The socket, and the answer of which the head has come. Raises the error that the server answers."""
        connection = self._kind(self._place, timeout=_SECONDS_TO_CONNECT)
        data = None if body is None else json.dumps(body).encode()
        with ExitStack() as undo:
            undo.callback(connection.close)
            try:
                connection.connect()
                # A model may take minutes to load, and an answer minutes to begin.
                connection.sock.settimeout(None)
                line = connection.sock
                connection.request(method, self._prefix + path, data, self._headers(data))
                response = connection.getresponse()
                if response.status >= 400:
                    raise _failure(response.status, response.read())
            except (OSError, HTTPException) as error:
                raise self._unreachable(error) from error
            undo.pop_all()
        return line, response

    def _headers(self, data: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream", "Connection": "close"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(
            f"no model server answers at {self._place}: {error or type(error).__name__}",
            details={"server": self._place},
            suggestion="Start one with `forgellm start` or `forgellm server`, or leave --server out.",
        )


class RemoteAnswer:
    """An answer on its way from a server. Leaving it closes the connection, which ends the generation."""

    def __init__(self, line: socket.socket, response: HTTPResponse) -> None:
        self._line = line
        self._response = response
        self._cancelled = False

    def cancel(self) -> None:
        """End the generation, from any thread; whoever is reading finds the end."""
        self._cancelled = True
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def __iter__(self) -> Iterator[GenerationChunk]:
        """The pieces up to the one with `finish`, or until it is cancelled. Raises what it failed with."""
        try:
            for event in _events(self._response):
                chunk = _chunk(event)
                yield chunk
                if chunk.finish is not None:
                    return
        except (OSError, HTTPException, ValueError, KeyError) as error:
            if not self._cancelled:
                raise _broken_off(str(error) or type(error).__name__) from error
        else:
            if not self._cancelled:
                raise _broken_off("the connection was closed")
        finally:
            self.cancel()
            self._response.close()
            self._line.close()


def _wish(request: GenerationRequest) -> dict[str, object]:
    """The body of POST /api/model/generate."""
    field = next((name for name in ("tools", "template_options", "schema") if getattr(request, name)), None)
    if field is not None:
        raise InvalidField(
            f"{field} cannot be sent to /api/model/generate",
            details={"field": field},
            suggestion="Ask the server's /v1/chat/completions.",
        )
    wish: dict[str, object] = {
        **asdict(request.sampling),
        "stop": list(request.stop),
        "use_adapter": not request.plain_base,
        "streaming": True,
        "is_base_model": request.prompt is not None,
        "prompt": request.prompt,
    }
    if request.logprobs is not None:
        wish["logprobs"] = request.logprobs
    if request.prompt is None:
        wish.update(_turns(request), answer_so_far=request.begun)
    return {name: value for name, value in wish.items() if value is not None}


def _turns(request: GenerationRequest) -> dict[str, object]:
    *history, last = request.messages
    if last.role != "user" or any(message.role == "tool" or message.tool_calls for message in history):
        raise InvalidField(
            "a conversation with tools, or without a question at its end, cannot be sent",
            details={"field": "messages"},
            suggestion="Ask the server's /v1/chat/completions.",
        )
    return {
        "prompt": last.content,
        "history": [{"role": message.role, "content": message.content} for message in history],
    }


def _events(response: HTTPResponse) -> Iterator[Mapping[str, Any]]:
    """The objects of a stream of server-sent events, each of which fits one `data` line."""
    for line in response:
        if line.startswith(b"data:"):
            event = json.loads(line[len(b"data:") :])
            if not isinstance(event, dict):
                raise ValueError("an event is no object")
            yield event


def _chunk(event: Mapping[str, Any]) -> GenerationChunk:
    if event.get("error_code"):
        raise _named(event)
    if event.get("done"):
        return GenerationChunk(finish=_finish(event))
    return GenerationChunk(
        text=str(event.get("text") or ""),
        thinking=str(event.get("thinking") or ""),
        tokens=tuple(_probability(token) for token in event.get("logprobs") or ()),
    )


def _finish(values: Mapping[str, Any]) -> Finish:
    return Finish(
        reason=values["finish_reason"],
        prompt_tokens=values["prompt_tokens"],
        cached_tokens=values["cached_tokens"],
        completion_tokens=values["tokens_generated"],
        first_token_seconds=values["time_to_first_token_seconds"],
        seconds=values["generation_time_seconds"],
        tokens_per_second=values["tokens_per_second"],
    )


def _probability(token: Mapping[str, Any]) -> TokenProbability:
    likeliest = tuple((other["token"], other["logprob"]) for other in token.get("top") or ())
    return TokenProbability(token["token"], token["logprob"], likeliest)


def _status(values: Mapping[str, Any]) -> ModelStatus:
    held = values.get("loaded") or values.get("is_loading")
    error = values.get("error")
    return ModelStatus(
        target=Target(values["model_name"], values.get("adapter_path")) if held else None,
        is_loading=bool(values.get("is_loading")),
        model_type=values.get("model_type"),
        memory_bytes=int((values.get("memory_usage_gb") or 0) * _GB),
        context_length=values.get("context_length"),
        error=_plain(error) if isinstance(error, dict) else None,
        active_requests=values.get("active_requests") or 0,
        waiting_requests=values.get("waiting_requests") or 0,
    )


def _plain(values: Mapping[str, Any]) -> dict[str, object]:
    """An error of the HTTP shape, or of the engine's, as `errors.revived` reads it."""
    return {**values, "code": values.get("error_code") or values.get("code")}


def _named(values: Mapping[str, Any]) -> ForgeError:
    return revived(_plain(values))


def _failure(status: int, body: bytes) -> ForgeError:
    with suppress(ValueError, RecursionError):
        values = json.loads(body)
        if isinstance(values, dict) and values.get("error_code"):
            error = _named(values)
            # Codes that this process has no class for keep their meaning: whose mistake it is.
            error.status = status
            return error
    return ServerUnreachable(
        f"what answers there is no model server: status {status}",
        details={"status": status},
        suggestion="Give the address that `forgellm start` prints.",
    )


def _broken_off(reason: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"the model server went away in the middle of an answer: {reason}",
        suggestion="`forgellm start` restarts it; ask again.",
    )
