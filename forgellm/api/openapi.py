"""The OpenAPI document, made of the routes and their pydantic models; nothing in it is written by hand."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, create_model
from pydantic.json_schema import models_json_schema

from forgellm import __version__
from forgellm.api.errors import STRICT, is_openai, strict_keys
from forgellm.api.json_text import write_json
from forgellm.api.routes import Query, Raw, Route

Mode = Literal["validation", "serialization"]
_DIALECTS = ("ai_forge", "modelforge", "sienn", "llm_platform")
_REF = "#/components/schemas/{model}"


class Error(BaseModel):
    """What every failed request is answered with."""

    success: Literal[False]
    error: str
    detail: str
    details: dict[str, Any]
    error_code: str
    status_code: int
    suggestion: str
    timestamp: str


class OpenAIFailure(BaseModel):
    """`error` as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(Error):
    """What every failed request below /v1 is answered with."""

    error: OpenAIFailure  # type: ignore[assignment]  # the one key that differs


def _strict_error(keys: tuple[str, ...]) -> type[BaseModel]:
    fields: Any = {key: (Error.model_fields[key].annotation, ...) for key in keys}
    return create_model(f"ErrorOf{''.join(key.title().replace('_', '') for key in keys)}", **fields)


_STRICT = {keys: _strict_error(keys) for keys in STRICT.values()}


def _failure(path: str) -> type[BaseModel]:
    """What a failed request to `path` is answered with."""
    keys = strict_keys(path)
    if keys is not None:
        return _STRICT[keys]
    return OpenAIError if is_openai(path) else Error


def openapi_route(routes: Iterable[Route]) -> Route:
    """The route that answers with the document of `routes`, itself included."""

    def openapi(_: object) -> Raw:
        """This document."""
        return Raw(text, "application/json")

    route = Route("GET", "/openapi.json", openapi)
    text = write_json(document([*routes, route]))
    return route


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """OpenAPI 3.1 for all `routes`."""
    routes = list(routes)
    modes: list[tuple[type[BaseModel], Mode]] = [
        (Error, "serialization"),
        (OpenAIError, "serialization"),
        *((model, "serialization") for model in _STRICT.values()),
        *_models(routes),
    ]
    references, schemas = models_json_schema(list(dict.fromkeys(modes)), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = {"operationId": _operation_id(route, routes), **_operation(route, references)}
        paths.setdefault(route.open_path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "ForgeLLM", "version": __version__},
        "paths": paths,
        "components": {"schemas": {**schemas.get("$defs", {}), **_query_types(routes)}},
    }


def _models(routes: Iterable[Route]) -> Iterator[tuple[type[BaseModel], Mode]]:
    for route in routes:
        for name, mode in (("body", "validation"), ("return", "serialization")):
            model = route.model(name)
            if model is not None:
                yield model, typing.cast("Mode", mode)


def _operation(route: Route, references: Any) -> dict[str, Any]:
    text = inspect.getdoc(route.view) or ""
    body, answer = route.model("body"), route.model("return")
    content = {} if answer is None else {"application/json": {"schema": references[answer, "serialization"]}}
    if answer is None or route.media_type != "application/json":
        content[route.media_type] = {"schema": {}}
    failure = _failure(route.path)
    operation: dict[str, Any] = {
        "summary": text.split("\n\n")[0].replace("\n", " "),
        "tags": [_dialect(route) or route.endpoint.split(".")[0]],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            "200": {"description": "Done", "content": content},
            "default": {
                "description": "Refused or failed",
                "content": {"application/json": {"schema": references[failure, "serialization"]}},
            },
        },
    }
    if body is not None:
        sent = {"application/json": {"schema": references[body, "validation"]}}
        required = any(field.is_required() for field in body.model_fields.values())
        operation["requestBody"] = {"required": required, "content": sent}
    if route.form is not None:
        other = operation.get("requestBody", {}).get("content", {})
        content = {"multipart/form-data": _form(route.form), **other}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _operation_id(route: Route, routes: Iterable[Route]) -> str:
    """Of several views with the same name, or of one at several paths, each has the path in its name."""
    name = _name(route)
    alone = sum(_name(other) == name for other in routes) == 1
    return name if alone else "_".join([name, *re.findall(r"\w+", route.open_path)])


def _name(route: Route) -> str:
    """Where the view is a dialect's, with the dialect in front."""
    parts = [_dialect(route), route.endpoint.split(".")[0], route.view.__name__]
    return "_".join(part for part in parts if part)


def _dialect(route: Route) -> str | None:
    package = route.view.__module__.split(".")[-2]
    return package if package in _DIALECTS else None


def _form(form: type[Query]) -> dict[str, Any]:
    """The files, and the fields beside them."""
    schema = form.model_json_schema(ref_template=_REF)
    files = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    name = form.file_parts[0]
    return {
        "schema": {
            **schema,
            "properties": {name: files, **schema.get("properties", {})},
            "required": [name, *schema.get("required", [])],
        }
    }


def _path_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.path_names:
        kind: dict[str, object] = {"type": "string"}
        if name in route.numbers:
            kind = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
        yield {"name": name, "in": "path", "required": True, "schema": kind}


def _query_parameters(route: Route) -> Iterator[dict[str, Any]]:
    model = route.model("query")
    if model is None:
        return
    schema = model.model_json_schema(ref_template=_REF)
    for name, field in schema.get("properties", {}).items():
        required = name in schema.get("required", [])
        yield {"name": name, "in": "query", "required": required, "schema": field}


def _query_types(routes: Iterable[Route]) -> dict[str, Any]:
    """The named types, such as enumerations, that queries refer to."""
    models = [model for route in routes if (model := route.model("query")) is not None]
    return {k: v for m in models for k, v in m.model_json_schema(ref_template=_REF).get("$defs", {}).items()}
