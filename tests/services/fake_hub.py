"""A Hub on loopback with one model, as much of it as huggingface_hub asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

REVISION = "5" * 40


class FakeHub:
    """Serves the files of `folder` as a model, or as one of `datasets`. `cut` ends that many answers with
    weights half-way."""

    def __init__(self, folder: Path, *, name: str = "somebody/tiny", kind: str = "models") -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.name = name
        self.kind = kind
        self.revision = REVISION
        self.cut = 0
        self.asked: list[tuple[str, str, str | None]] = []
        """(method, file, range) of every file that was asked for."""
        self.go_on = threading.Event()
        """The second half of the weights waits for it."""
        self.go_on.set()

    def __call__(self, environ, start_response):
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path.startswith(f"/api/{self.kind}/{self.name}"):
            return Response(json.dumps(self._info()), mimetype="application/json")
        folder = "" if self.kind == "models" else f"/{self.kind}"
        prefix = f"{folder}/{self.name}/resolve/{self.revision}/"
        if not request.path.startswith(prefix):
            missing = {"X-Error-Code": "RepoNotFound"}
            return Response("{}", 404, missing, mimetype="application/json")
        return self._file(request, request.path.removeprefix(prefix))

    def _info(self) -> dict[str, object]:
        siblings = [{"rfilename": name, "size": len(data)} for name, data in self.files.items()]
        return {"id": self.name, "sha": self.revision, "siblings": siblings, "tags": [], "private": False}

    def _file(self, request: Request, name: str) -> Response:
        span = request.headers.get("Range")
        self.asked.append((request.method, name, span))
        data = self.files[name]
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": self.revision,
            "Content-Length": str(len(data) - start),
            "Accept-Ranges": "bytes",
        }
        if span:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = self._body(name, data[start:]) if request.method == "GET" else []
        return Response(body, 206 if span else 200, headers, mimetype="application/octet-stream")

    def _body(self, name: str, data: bytes) -> Iterator[bytes]:
        half = len(data) // 2 if name.endswith(".safetensors") else len(data)
        yield data[:half]
        if name.endswith(".safetensors"):
            if self.cut:
                self.cut -= 1
                return
            self.go_on.wait(60)
        yield data[half:]


@contextmanager
def serving(hub: FakeHub) -> Iterator[str]:
    """The address of the Hub while the block runs."""
    server = make_server("127.0.0.1", 0, hub, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
