"""The outermost WSGI guard, in front of Socket.IO: which requests are let in at all.

Everything is refused that is not known to be harmless: another Host, another Origin, another site, a body
that a web page could send without asking, a body too large. What the paths mean is not decided here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.http import parse_options_header

from forgellm.api.access import Access, access
from forgellm.api.errors import (
    Forbidden,
    InvalidRequest,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
    error_json,
)
from forgellm.api.login import Environ, Login
from forgellm.api.policy import Headers, guarded
from forgellm.domain.errors import ForgeError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

__all__ = ["JSON_LIMIT", "Access", "Guard", "access"]

JSON_LIMIT = 1 << 20
"""Bytes of a body, unless a route takes more."""

# Engine.IO's polls are text/plain. A page of another site cannot send one: its Origin is refused.
_SOCKET_IO = "/socket.io/"
_WEBSOCKET_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_SHOWN = 100
_JSON = ("a body is taken as application/json only", "Send the header Content-Type: application/json.")
_FORM = ("files are taken as multipart/form-data only", "Send them as a form does: curl -F file=@NAME.")
"""What is taken, and what to do."""

logger = logging.getLogger(__name__)


class Guard:
    """Wraps `app`. `is_page` says which paths a link on another site may open. A POST to one of `uploads` may
    be multipart, of up to `upload_limit` bytes."""

    def __init__(
        self,
        app: WSGIApplication,
        access: Access,
        *,
        is_page: Callable[[str], bool] = lambda path: path == "/",
        uploads: Collection[str] = (),
        upload_limit: int = JSON_LIMIT,
    ) -> None:
        self._app = app
        self._access = access
        self._login = None if access.token is None else Login(access.token)
        self._is_page = is_page
        self._uploads = frozenset(uploads)
        self._upload_limit = upload_limit

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start = guarded(start_response)
        try:
            self._check_sender(environ)
            if self._login is not None:
                cookie = self._login.cookie(environ)
                if cookie is not None:
                    return _welcome(environ, start, cookie=cookie)
                self._login.check(environ)
            if self._is_upload(environ):
                _check_upload(environ, self._upload_limit)
            else:
                taken = _FORM if environ["PATH_INFO"] in self._uploads else _JSON
                _check_body(environ, JSON_LIMIT, taken=taken)
            _check_upgrade(environ)
        except ForgeError as error:
            # Without the query: it may hold a token.
            logger.info("refused %s %s: %s", environ["REQUEST_METHOD"], environ["PATH_INFO"], error.message)
            return _refuse(environ, start, error=error)
        return self._app(environ, start)

    def _is_upload(self, environ: Environ) -> bool:
        kind, _ = parse_options_header(str(environ.get("CONTENT_TYPE", "")))
        may = environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] in self._uploads
        return may and kind.lower() == "multipart/form-data"

    def _check_sender(self, environ: Environ) -> None:
        host = str(environ.get("HTTP_HOST", ""))
        if host.lower() not in self._access.hosts:
            raise Forbidden(
                f"{host[:_SHOWN]!r} is not a name of this server",
                details={"host": host[:_SHOWN]},
                suggestion=f"Use http://{min(self._access.hosts)}, or start with --allow-host NAME.",
            )
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin not in self._access.origins:
            raise Forbidden(
                "requests from other web pages are refused",
                details={"origin": str(origin)[:_SHOWN]},
                suggestion="Use the pages of this server, or a program that sends no Origin.",
            )
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
            self._check_navigation(environ)

    def _check_navigation(self, environ: Environ) -> None:
        followed_link = (
            environ["REQUEST_METHOD"] == "GET"
            and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
            and environ.get("HTTP_SEC_FETCH_DEST") == "document"
        )
        if not followed_link or not self._is_page(str(environ["PATH_INFO"])):
            raise Forbidden(
                "requests from other web sites are refused",
                details={"site": str(environ["HTTP_SEC_FETCH_SITE"])[:_SHOWN]},
                suggestion="Open the start page of this server and go on from there.",
            )


def _check_upload(environ: Environ, limit: int) -> None:
    """A form of any page may send a multipart body without asking; a header of its own it may not."""
    by_browser = "HTTP_ORIGIN" in environ or "HTTP_SEC_FETCH_SITE" in environ
    if by_browser and environ.get("HTTP_X_FORGE_REQUEST") != "1":
        raise Forbidden(
            "an upload by a web page needs the header X-Forge-Request: 1",
            suggestion="Send it with fetch or XMLHttpRequest; a form cannot.",
        )
    _check_length(_body_length(environ), limit)


def _check_body(environ: Environ, limit: int, *, taken: tuple[str, str]) -> None:
    length = _body_length(environ)
    if length == 0:
        return
    _check_length(length, limit)
    if not str(environ["PATH_INFO"]).startswith(_SOCKET_IO):
        _check_json(str(environ.get("CONTENT_TYPE", "")), taken=taken)


def _check_length(length: int | None, limit: int) -> None:
    if length is not None and length > limit:
        raise TooLarge(
            f"the body is larger than {limit} bytes",
            details={"limit": limit},
            suggestion="Send less at once.",
        )


def _body_length(environ: Environ) -> int | None:
    """Bytes that the request announces; None where they come in chunks."""
    announced, coding = str(environ.get("CONTENT_LENGTH", "")), environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        chunked = str(coding).strip().lower() == "chunked" and environ["SERVER_PROTOCOL"] != "HTTP/1.0"
        if announced or not chunked:
            raise _unclear_length({"transfer_encoding": str(coding)[:_SHOWN]})
        return None
    if not announced:
        return 0
    if not (announced.isascii() and announced.isdigit()):
        raise _unclear_length({"content_length": announced[:_SHOWN]})
    # Python refuses to read a number of thousands of digits.
    return int(announced.lstrip("0")[:20] or "0")


def _unclear_length(details: dict[str, object]) -> InvalidRequest:
    return InvalidRequest(
        "how long the body is cannot be told",
        details=details,
        suggestion="Send one Content-Length, or Transfer-Encoding: chunked.",
    )


def _check_json(content_type: str, *, taken: tuple[str, str]) -> None:
    kind, parameters = parse_options_header(content_type)
    charset = parameters.pop("charset", "utf-8")
    if kind.lower() != "application/json" or parameters or charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(
            taken[0],
            details={"content_type": content_type[:_SHOWN]},
            suggestion=taken[1],
        )


def _check_upgrade(environ: Environ) -> None:
    """The WebSocket library raises on a handshake that is not one."""
    if str(environ.get("HTTP_UPGRADE", "")).lower() != "websocket":
        return
    steps = [step.strip().lower() for step in str(environ.get("HTTP_CONNECTION", "")).split(",")]
    whole = (
        environ["REQUEST_METHOD"] == "GET"
        and "upgrade" in steps
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and _WEBSOCKET_KEY.fullmatch(str(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")))
    )
    if not whole:
        raise InvalidRequest(
            "the WebSocket handshake is not whole",
            suggestion="Use a WebSocket client of version 13, as all browsers are.",
        )


def _refuse(environ: Environ, start: StartResponse, *, error: ForgeError) -> Iterable[bytes]:
    body = error_json(error, path=str(environ["PATH_INFO"]))
    headers: Headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if isinstance(error, Unauthorized):
        headers.append(("WWW-Authenticate", "Bearer"))
    start(f"{error.status} {HTTPStatus(error.status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _welcome(environ: Environ, start: StartResponse, *, cookie: str) -> Iterable[bytes]:
    """On to `/`, so that the token leaves the address bar."""
    headers: Headers = [("Set-Cookie", cookie), ("Content-Length", "0")]
    if environ.get("HTTP_SEC_FETCH_SITE", "none") in ("none", "same-origin"):
        start("303 See Other", [("Location", "/"), *headers])
    else:
        # After a link on another site a redirect would not bring the strict cookie along; this does,
        # because the answer itself asks for the page.
        start("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Refresh", "0; url=/"), *headers])
    return []
