"""The toy application on a real port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from forgellm.api.access import access
from forgellm.web.connections import Limits
from forgellm.web.serving import WebServer, listen, serving
from tests.web.toy import Toy


@dataclass(frozen=True)
class Served:
    """`port` on 127.0.0.1."""

    port: int
    toy: Toy
    server: WebServer


@contextmanager
def served(
    *,
    limits: Limits | None = None,
    token: str | None = None,
    allow: tuple[str, ...] = (),
    ping_interval: float = 25.0,
) -> Iterator[Served]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    toy = Toy(access("127.0.0.1", port, allow=allow, token=token), ping_interval=ping_interval)
    with serving(listener, toy.wsgi, limits=limits) as server:
        yield Served(port, toy, server)
