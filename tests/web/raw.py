"""HTTP as bytes on a socket: no library in between that would put a strange request right."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """`headers` by lower-case name; `body` is everything that came after them until the server hung up."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


def head(target: str = "/api/health", *headers: str, method: str = "GET", port: int, host: str = "") -> bytes:
    """The head of a request; `host` is the Host header, by default the one that is right."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def opened(port: int, *, timeout: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def exchange(port: int, data: bytes, *, timeout: float = 10.0) -> Answer:
    """Send `data`, read until the server hangs up."""
    with opened(port, timeout=timeout) as connection:
        connection.sendall(data)
        return parsed(rest(connection))


def rest(connection: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def parsed(answer: bytes) -> Answer:
    top, found, body = answer.partition(b"\r\n\r\n")
    assert found, answer
    status, *lines = top.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, body)
