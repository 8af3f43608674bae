"""The headers that every answer carries: what a browser may do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Headers = list[tuple[str, str]]

# The hash of nothing: a style element that is empty, which scripts of Redoc then fill by the browser's own
# functions. Whoever puts one into a page has said nothing with it.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
# Browsers take 'self' in connect-src as ws: of the same host and port as well; Safari since 15.4.
_CONTENT_SECURITY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {_EMPTY_STYLE}",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

POLICY = (
    ("Content-Security-Policy", _CONTENT_SECURITY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_NOT_STORED = ("Cache-Control", "no-store")
_DECIDED_HERE = frozenset(name.lower() for name, _ in POLICY)


def with_policy(headers: Headers) -> Headers:
    """`headers` with the policy in place of their own, without any that opens the answer to other origins.
    An answer that does not say how it may be cached is not stored."""
    kept = [(name, value) for name, value in headers if not _is_dropped(name.lower())]
    cached = any(name.lower() == "cache-control" for name, _ in kept)
    return [*kept, *POLICY, *(() if cached else (_NOT_STORED,))]


def guarded(start_response: StartResponse) -> StartResponse:
    """A `start_response` that gives every answer the policy."""

    def start(status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        return start_response(status, with_policy(headers), exc_info)

    return start


def _is_dropped(name: str) -> bool:
    return name in _DECIDED_HERE or name.startswith("access-control-")
