"""The token: how a request carries it, and how a browser comes to."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qs

from werkzeug.http import parse_cookie

from forgellm.api.errors import Unauthorized

Environ = dict[str, object]


class Login:
    """Compares what requests bring with the `token` of the server."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        # A browser shows its cookies to every server of this host, whatever its port: the token itself
        # stays out of them.
        self._cookie = hmac.new(self._token, b"forgellm cookie", hashlib.sha256).hexdigest()

    def check(self, environ: Environ) -> None:
        """Raises Unauthorized unless the request carries the token, or the cookie for it."""
        scheme, _, credentials = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        if scheme.lower() == "bearer" and self._is_token(credentials.strip()):
            return
        # Ours is ASCII, and Werkzeug fails at bytes that are no UTF-8.
        sent = str(environ.get("HTTP_COOKIE", "")).encode("ascii", "replace").decode()
        cookies = parse_cookie(sent).getlist(_cookie_name(environ))
        if any(_same(cookie.encode(), self._cookie.encode()) for cookie in cookies):
            return
        raise Unauthorized(
            "this server asks for its token",
            suggestion="Send `Authorization: Bearer TOKEN`, or open /?token=TOKEN once in the browser.",
        )

    def cookie(self, environ: Environ) -> str | None:
        """The Set-Cookie header for a request that opens `/?token=TOKEN`; None for any other request.

        Raises Unauthorized where the token is wrong.
        """
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("GET", "/"):
            return None
        offered = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True).get("token")
        if offered is None:
            return None
        if len(offered) != 1 or not self._is_token(offered[0]):
            raise Unauthorized(
                "the token in the address is not the one of this server",
                suggestion="Use the token that the server was started with.",
            )
        return f"{_cookie_name(environ)}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def _is_token(self, text: str) -> bool:
        return _same(text.encode(errors="replace"), self._token)


def _cookie_name(environ: Environ) -> str:
    # Two servers on one host would otherwise overwrite each other's.
    return f"forgellm_{environ.get('SERVER_PORT')}"


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)
