"""Between Flask and the views: reading requests into models, answers into responses, failures into errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from flask import Flask, Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.routing import BaseConverter
from werkzeug.routing.exceptions import WebsocketMismatch

from forgellm.api import errors
from forgellm.api.events import EVENTS
from forgellm.api.guard import JSON_LIMIT
from forgellm.api.json_text import read_object, write_json
from forgellm.api.places import Places, places
from forgellm.api.routes import Download, File, Quotation, Raw, Reply, Route, Stream
from forgellm.api.uploads import UPLOAD_LIMIT, Upload
from forgellm.api.wrong_fields import invalid_field
from forgellm.domain.errors import ForgeError, InvalidField
from forgellm.services.parts import Parts

Model = TypeVar("Model", bound=BaseModel)

_RETRY_SECONDS = "1"
_NAMED: Mapping[int, type[ForgeError]] = {
    400: errors.InvalidRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    415: errors.UnsupportedMediaType,
}


class Number(BaseConverter):
    """A whole number that every JSON reader can hold."""

    regex = r"[0-9]{1,15}"
    weight = 50

    def to_python(self, value: str) -> int:
        return int(value)


def register(app: Flask, first: object, routes: Iterable[Route], *, known: Places) -> None:
    """Add a rule for every route. `first` is what their views take first, `known` what no answer names."""
    app.url_map.converters["number"] = Number
    for route in routes:
        add_rule(app, route, _handler(first, route, known=known))


def add_rule(app: Flask, route: Route, view: Callable[..., Response]) -> None:
    """Have `view` answer what comes in by this route."""
    app.add_url_rule(
        route.path,
        endpoint=route.endpoint,
        view_func=view,
        methods=[route.method],
        # Flask would answer OPTIONS itself, without the shape of an error.
        provide_automatic_options=False,
    )


def handle_errors(app: Flask, parts: Parts, *, missing: Callable[[], Raw | None] = lambda: None) -> None:
    """Answer every failure in the one shape; what nobody foresaw is logged by Flask and answered as 500.

    Where there is no route, `missing` may give what people are shown in its place.
    """
    known = places(parts)

    def named(error: ForgeError) -> Response:
        return error_response(error, known)

    def http(error: HTTPException) -> Response:
        if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
            return error_response(_unforeseen(), known)
        shown = missing() if error.code == HTTPStatus.NOT_FOUND else None
        if shown is not None:
            return Response(shown.content, status=HTTPStatus.NOT_FOUND, content_type=shown.media_type)
        response = error_response(_http_error(error), known)
        response.headers.extend((k, v) for k, v in error.get_headers() if k == "Allow")
        return response

    app.register_error_handler(ForgeError, named)
    app.register_error_handler(HTTPException, http)


def error_response(error: ForgeError, known: Places) -> Response:
    """The response to a failed request."""
    body = errors.shaped_for(request.path, errors.error_body(error))
    response = Response(_written(body, known), status=error.status, mimetype="application/json")
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = _RETRY_SECONDS
    return response


def telling(parts: Parts) -> Callable[[ForgeError], dict[str, object]]:
    """How the client of this request is told of an error once its answer has begun."""
    return partial(_failure, path=request.path, known=places(parts))


def _written(values: object, known: Places) -> bytes:
    """As JSON, without places of the machine: what a worker wrote of its failure may have them."""
    text = write_json(values)
    return write_json(known.hidden(values)) if known.are_in(text) else text


def parse(model: type[Model], values: Mapping[str, object]) -> Model:
    """The model with these values. Raises InvalidField, naming the field and what would be accepted."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_field(model, error) from error


def _failure(error: ForgeError, *, path: str, known: Places) -> dict[str, object]:
    body = {key: known.hidden(value) for key, value in errors.error_body(error).items()}
    return errors.shaped_for(path, body)


def _handler(first: object, route: Route, *, known: Places) -> Callable[..., Response]:
    body, query, form = route.model("body"), route.model("query"), route.form

    def handle(**path: object) -> Response:
        values = dict(path)
        if query is not None:
            values["query"] = parse(query, _single(request.args, query.model_fields))
        elif request.args:
            raise _no_query(next(iter(request.args)))
        if form is not None and (body is None or request.mimetype == "multipart/form-data"):
            values["upload"] = Upload(partial(parse, form), file_parts=form.file_parts)
            return _response(route.view(first, **values), known)
        sent = read_object(sent_body())
        if body is not None:
            values["body"] = parse(body, sent)
        elif sent:
            raise _no_body(next(iter(sent)))
        return _response(route.view(first, **values), known)

    return handle


def sent_body() -> bytes:
    """The body of the request as it came. Raises TooLarge."""
    data = request.get_data(cache=False)
    if len(data) > JSON_LIMIT:
        raise _too_large()
    return data


def _too_large(limit: int = JSON_LIMIT) -> errors.TooLarge:
    return errors.TooLarge(
        f"the body is larger than {limit} bytes",
        details={"limit": limit},
        suggestion="Send less at once.",
    )


def _single(args: MultiDict[str, str], known: Collection[str]) -> dict[str, str]:
    twice = next((name for name, given in args.lists() if len(given) > 1 and name in known), None)
    if twice is not None:
        raise InvalidField(
            f"{twice[:80]!r} is given twice", details={"field": twice}, suggestion="Give it once."
        )
    return args.to_dict()


def _no_query(name: str) -> InvalidField:
    return InvalidField(
        f"unknown field {name[:80]!r} in the query",
        details={"field": name, "nearest": None},
        suggestion="This route takes no query.",
    )


def _no_body(name: str) -> InvalidField:
    return InvalidField(
        f"unknown field {name[:80]!r}",
        details={"field": name, "nearest": None},
        suggestion="This route takes no body.",
    )


def _response(answer: Reply | File | Raw | Stream | Download, known: Places) -> Response:
    if isinstance(answer, Reply):
        values = answer.model_dump()
        written = write_json(values) if isinstance(answer, Quotation) else _written(values, known)
        return Response(written, mimetype="application/json")
    if isinstance(answer, Stream):
        response = Response(answer.pieces, mimetype=EVENTS)
        # Closing a generator that was never begun runs none of it.
        response.call_on_close(answer.close)
        return response
    if isinstance(answer, Download):
        response = Response(answer.pieces, mimetype=answer.media_type)
        response.headers.set("Content-Disposition", "attachment", filename=answer.name)
        return response
    if isinstance(answer, Raw):
        return Response(answer.content, content_type=answer.media_type)
    response = Response(answer.path.read_bytes(), content_type=answer.media_type)
    if answer.cached is not None:
        response.headers["Cache-Control"] = answer.cached
    return response


def _http_error(error: HTTPException) -> ForgeError:
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _too_large(UPLOAD_LIMIT if request.mimetype == "multipart/form-data" else JSON_LIMIT)
    if isinstance(error, ClientDisconnected):
        return errors.InvalidRequest(
            "the body is cut off, or its pieces cannot be told apart",
            suggestion="Send as many bytes as the head of the request announces.",
        )
    if isinstance(error, WebsocketMismatch):
        return errors.InvalidRequest(
            f"there is no WebSocket at {request.path[:200]!r}", suggestion="Socket.IO is at /socket.io/."
        )
    kind = _NAMED.get(error.code or 500, errors.InvalidRequest)
    messages = {
        404: f"there is nothing at {request.path[:200]!r}",
        405: f"{request.method[:20]} is not possible at {request.path[:200]!r}",
    }
    return kind(
        messages.get(kind.status, error.description or error.name),
        details={"path": request.path[:200], "method": request.method[:20]},
        suggestion="GET /openapi.json lists every route." if kind.status in (404, 405) else "",
    )


def _unforeseen() -> ForgeError:
    return ForgeError(
        "something went wrong in the server",
        suggestion="The server's log has the details; please report them.",
    )
