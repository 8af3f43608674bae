"""The whole application over the test workspace, asked without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from forgellm.api.access import access
from forgellm.forge import Forge
from forgellm.settings import Settings
from forgellm.storage.workspace import Workspace
from forgellm.web.app import WebApp, create_app
from tests.jobs.sample_worker import end_all

HOST = "127.0.0.1:5002"


@pytest.fixture
def forge(workspace: Workspace, hub_cache: Path) -> Iterator[Forge]:
    """Over the test workspace; every run it leaves is stopped."""
    yield Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))
    end_all(workspace)


@pytest.fixture
def web(forge: Forge) -> WebApp:
    return create_app(forge, access("127.0.0.1", 5002, allow=(), token=None))


@pytest.fixture
def client(web: WebApp) -> Client:
    """Asks as curl does: with a Host and nothing else."""
    return Client(web.wsgi)


def ask(client: Client, method: str, path: str, **options):
    """A request to the address that the application believes to have."""
    return client.open(path, method=method, base_url=f"http://{HOST}", **options)
