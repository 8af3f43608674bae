"""The one shape of an error, and the failures that only HTTP knows. What is refused is decided in `guard`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone

from forgellm.domain.errors import ForgeError

STRICT: Mapping[str, tuple[str, ...]] = {
    "/ai-forge/": ("detail",),
    "/modelforge/": ("error", "detail", "status_code"),
    "/sienn-ai/": ("detail", "error_code", "timestamp"),
    "/llm-platform/": ("error",),
}
"""Below each dialect's prefix an error has these keys of the one shape, and no other."""

_OPENAI_TYPES: Mapping[object, str] = {401: "authentication_error", 403: "permission_error"}


class InvalidRequest(ForgeError):
    """A body or a query that cannot be read: not JSON, not an object, a name twice, a number too large."""

    code = "INVALID_REQUEST"
    status = 400


class Unauthorized(ForgeError):
    """The server was started with a token, and the request does not carry it."""

    code = "UNAUTHORIZED"
    status = 401


class Forbidden(ForgeError):
    """The request comes from another web page, or was sent to a name that is not this server's."""

    code = "FORBIDDEN"
    status = 403


class NotFound(ForgeError):
    """No route at this path."""

    code = "NOT_FOUND"
    status = 404


class MethodNotAllowed(ForgeError):
    """The path exists, but not with this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class NotImplementedHere(ForgeError):
    """Something that a dialect documents and nothing here can do."""

    code = "NOT_IMPLEMENTED"
    status = 501


class TooLarge(ForgeError):
    """The body is larger than this route takes."""

    code = "TOO_LARGE"
    status = 413


class UnsupportedMediaType(ForgeError):
    """A body that is not sent as application/json."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


def error_body(error: ForgeError) -> dict[str, object]:
    """The answer to a request that failed: every key is always there, `detail` is the message once more."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return {
        "success": False,
        "error": error.message,
        "detail": error.message,
        "details": dict(error.details),
        "error_code": error.code,
        "status_code": error.status,
        "suggestion": error.suggestion,
        "timestamp": now.replace("+00:00", "Z"),
    }


def is_openai(path: str) -> bool:
    """Whether the clients of `path` are OpenAI's."""
    return path.startswith("/v1/") and not path.startswith("/v1/fine-tune")


def strict_keys(path: str) -> tuple[str, ...] | None:
    """The keys of an error below a dialect's prefix; None elsewhere."""
    return next((keys for prefix, keys in STRICT.items() if f"{path}/".startswith(prefix)), None)


def shaped_for(path: str, body: Mapping[str, object]) -> dict[str, object]:
    """An `error_body` as the clients of `path` read it: below /v1 `error` is OpenAI's object, and below the
    prefix of a dialect there are exactly its keys, one of which says what to do as well."""
    keys = strict_keys(path)
    if keys is not None:
        return {key: _advice(body) if key == _told_in(keys) else body[key] for key in keys}
    if not is_openai(path):
        return dict(body)
    details, status = body["details"], body["status_code"]
    error = {
        "message": body["error"],
        "type": _OPENAI_TYPES.get(status, "invalid_request_error" if _is_refusal(status) else "server_error"),
        "param": details.get("field") if isinstance(details, Mapping) else None,
        "code": str(body["error_code"]).lower(),
    }
    return {**body, "error": error}


def error_json(error: ForgeError, *, path: str = "") -> bytes:
    """`error_body` as bytes, for a request to `path`; what JSON lacks is shown as text."""
    return json.dumps(shaped_for(path, error_body(error)), default=str).encode()


def _told_in(keys: tuple[str, ...]) -> str:
    """The key whose text says most: there is none for what to do."""
    return "detail" if "detail" in keys else "error"


def _advice(body: Mapping[str, object]) -> str:
    """What went wrong, and what to do about it."""
    return f"{body['error']}. {body['suggestion']}" if body["suggestion"] else str(body["error"])


def _is_refusal(status: object) -> bool:
    return isinstance(status, int) and 400 <= status < 500
