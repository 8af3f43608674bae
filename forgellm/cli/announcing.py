"""A server says where it is, once it can be asked."""

from __future__ import annotations

import json
import os

import click


def announce(name: str, url: str, *, ready: int | None) -> None:
    """Tell `forgellm start` through the pipe `ready` if that started the server, otherwise people."""
    if ready is None:
        click.echo(f"{name} is at {url}")
        return
    os.write(ready, json.dumps({"url": url}).encode() + b"\n")
    os.close(ready)
