"""A model server in the test's own process, over the test workspace."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from forgellm.api.access import access
from forgellm.forge import Forge
from forgellm.inference.options import EngineOptions
from forgellm.model_server.app import ModelApp, create_app
from forgellm.settings import Settings
from forgellm.web.serving import listen, serving
from tests.servers import Server

LONG = {"prompt": "Tell me everything.", "temperature": 1.0, "max_tokens": 100_000, "seed": 1}


@pytest.fixture
def forge(workspace, hub_cache) -> Forge:
    return Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))


@pytest.fixture
def serve(forge):
    """Serves the application; answers with the server and the application."""
    running = []

    def start(*, auto_load: bool = True, **options) -> tuple[Server, ModelApp]:
        listener = listen("127.0.0.1", 0)
        admitted = access("127.0.0.1", listener.getsockname()[1], allow=(), token=None, has_pages=False)
        app = create_app(forge, admitted, options=EngineOptions(**options), auto_load=auto_load)
        block = serving(listener, app.wsgi)
        server = block.__enter__()
        running.append((block, app))
        return Server(server.url, None), app

    yield start
    for block, app in running:
        block.__exit__(None, None, None)
        app.close()


@pytest.fixture
def server(serve) -> Iterator[Server]:
    """With the tiny model resident."""
    server, _ = serve()
    server.post("/api/model/load", {"model_name": "models/base/tiny"})
    return server


def asked(server: Server, path: str, body: dict[str, object]) -> socket.socket:
    """A connection on which that was asked, and nothing was read yet."""
    data = json.dumps(body).encode()
    host = server.url.removeprefix("http://")
    connection = socket.create_connection(host.split(":"), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return connection


def give_room(workspace) -> None:
    """The tiny model, whose weights are random, gets room for a million tokens and no reason to end."""
    config = workspace.base_models / "tiny" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "max_position_embeddings": 10**6, "eos_token_id": 511}))


def open_requests(server: Server) -> int:
    """How many are answered or wait."""
    status = server.get("/api/model/status").json()
    return status["active_requests"] + status["waiting_requests"]
