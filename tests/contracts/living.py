"""Both servers over one workspace, with the built-in model under the name that a document uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from forgellm.storage.workspace import Workspace
from tests.contracts.hub import put_into_hub
from tests.contracts.sightings import Sightings
from tests.jobs.sample_worker import end_all
from tests.servers import Server, running_server

ROWS = [
    {"instruction": f"What is sold in town {n}?", "input": "", "output": f"In town {n} they sell {n} lamps."}
    for n in range(12)
]


@dataclass(frozen=True)
class Living:
    """`web` is asked; `prefix` is that of a dialect, or empty for the shared port. `seen` are its answers,
    under `name` where it is asked without a prefix."""

    web: Server
    workspace: Workspace
    prefix: str = ""
    name: str = ""
    seen: Sightings = field(default_factory=Sightings)

    @property
    def strict(self) -> bool:
        return bool(self.prefix)

    def get(self, path: str, **options) -> requests.Response:
        return self._noted(path, self.web.get(self.prefix + path, **options))

    def post(self, path: str, body: object = None, **options) -> requests.Response:
        return self._noted(path, self.web.post(self.prefix + path, body, **options))

    def delete(self, path: str) -> requests.Response:
        return self._noted(path, self.web.delete(self.prefix + path))

    def upload(self, path: str, file: str, text: str, *, part: str = "file", **fields: str):
        files = {part: (file, text.encode())}
        response = requests.post(self.web.url + self.prefix + path, files=files, data=fields, timeout=120)
        inside = json.loads(fields.get("request", "{}")) if response.ok else {}
        self.seen.add(self.prefix, path, response, sent={part: "", **fields, **inside})
        return response

    def until(self, path: str, holds, **options):
        answer = self.web.until(self.prefix + path, holds, **options)
        self.get(path)
        return answer

    def _noted(self, path: str, response: requests.Response) -> requests.Response:
        self.seen.add(self.prefix or self.name, path, response)
        return response


@contextmanager
def living(worker_environment, root: Path, *names: str) -> Iterator[Living]:
    """`names` are those of the built-in model in the Hub's cache; every run is ended afterwards."""
    cache, place = root / "hub", root / "workspace"
    place.mkdir()
    for name in names:
        put_into_hub(cache, name)
    environment = {**worker_environment, "HF_HUB_CACHE": str(cache)}
    with (
        running_server(place, environment, command="server"),
        running_server(place, environment) as web,
    ):
        workspace = Workspace.open(place)
        try:
            yield Living(web, workspace)
        finally:
            end_all(workspace)


def lines(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def checked(response: requests.Response) -> dict[str, object]:
    """The answer to a request that was to succeed."""
    assert response.status_code == 200, response.text
    return response.json()
