"""A Hub on loopback that takes models, as much of it as huggingface_hub asks for: repositories, both kinds of
storage for large files (Git LFS and Xet), and commits."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

TOKEN = "hf_" + "s3cretOfTheTest" * 2
STORAGE_TOKEN = "xet_" + "s3cret" * 3


class ReceivingHub:
    """`files` are those of each repository, `private` whether it is. Somebody's token is TOKEN."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.stored: dict[str, bytes] = {}
        """Large files that have come, by their sha256."""
        self.sent: list[str] = []
        """sha256 or hash of every large piece, as often as it came."""
        self.messages: list[str] = []
        self.cut = False
        """Connections end in the middle of weights."""
        self.go_on = threading.Event()
        """The answer to weights waits for it."""
        self.go_on.set()
        self.waiting = threading.Event()
        """Somebody has sent weights."""

    def __call__(self, environ, start_response):
        request = Request(environ)
        if self._is_weights(request):
            if self.cut:
                environ["wsgi.input"].read(1000)
                environ["werkzeug.socket"].shutdown(2)
                return []
            self.waiting.set()
            self.go_on.wait(60)
        return self._answer(request)(environ, start_response)

    @staticmethod
    def _is_weights(request: Request) -> bool:
        return request.path.startswith(("/lfs/", "/v1/xorbs/")) and request.method in ("PUT", "POST")

    def _answer(self, request: Request) -> Response:
        path, body = request.path, request.get_data()
        if path.startswith("/lfs/"):
            self._keep(path.removeprefix("/lfs/"), body)
            return Response()
        if path.startswith("/v1/"):
            return self._xet(request, body)
        if path.startswith("/v2/"):
            return _said(404, "not here")
        known = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if path == "/api/validate-yaml":
            return _json({})
        if known != TOKEN:
            return _said(401, f"Invalid user token: {known}")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        repo = "/".join(path.removeprefix("/api/models/").removeprefix("/").split("/")[:2])
        return self._of(repo.removesuffix(".git"), path, body)

    def _of(self, repo: str, path: str, body: bytes) -> Response:
        if repo not in self.files:
            return _said(404, "Repository not found", code="RepoNotFound")
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                (name, "lfs" if name.endswith((".safetensors", ".gguf")) else "regular") for name in names
            ]
            return _json({"files": [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes]})
        if path.endswith("/info/lfs/objects/batch"):
            return _json({"objects": [self._wanted(known) for known in json.loads(body)["objects"]]})
        if "/xet-write-token/" in path:
            return _json({"casUrl": self.url, "exp": int(time.time()) + 3600, "accessToken": STORAGE_TOKEN})
        if "/commit/" in path:
            return self._commit(repo, [json.loads(line) for line in body.splitlines()])
        siblings = [{"rfilename": name} for name in (".gitattributes", *self.files[repo])]
        return _json({"id": repo, "sha": "1" * 40, "private": self.private[repo], "siblings": siblings})

    def _create(self, wish: dict[str, object]) -> Response:
        if wish["organization"] != "somebody":
            return _said(403, f"You don't have the rights to create a model under {wish['organization']}")
        repo = f"{wish['organization']}/{wish['name']}"
        self.files[repo] = {}
        self.private[repo] = wish.get("visibility") == "private" or wish.get("private") is True
        return _json({"url": f"{self.url}/{repo}"})

    def _wanted(self, known: dict[str, object]) -> dict[str, object]:
        if known["oid"] in self.stored:
            return known
        return {**known, "actions": {"upload": {"href": f"{self.url}/lfs/{known['oid']}"}}}

    def _keep(self, oid: str, data: bytes) -> None:
        self.sent.append(oid)
        assert hashlib.sha256(data).hexdigest() == oid
        self.stored[oid] = data

    def _xet(self, request: Request, body: bytes) -> Response:
        if request.path.startswith("/v1/xorbs/"):
            assert request.headers["Authorization"] == f"Bearer {STORAGE_TOKEN}"
            self.sent.append(request.path.rpartition("/")[2])
            data = b"".join(_chunks(body))
            self.stored[hashlib.sha256(data).hexdigest()] = data
            return _json({"was_inserted": True})
        return _json({"result": 1}) if request.path == "/v1/shards" else _said(404, "not here")

    def _commit(self, repo: str, lines: list[dict[str, dict[str, str]]]) -> Response:
        files = dict(self.files[repo])
        for line in lines:
            kind, value = line["key"], line["value"]
            if kind == "header":
                self.messages.append(value["summary"])
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            elif kind == "deletedFile":
                del files[value["path"]]
        self.files[repo] = files
        return _json({"commitUrl": f"{self.url}/{repo}/commit/{'2' * 40}", "commitOid": "2" * 40})


def _chunks(xorb: bytes) -> Iterator[bytes]:
    """The chunks of a Xet object: each begins with its version, length, compression and length before that.
    https://huggingface.co/docs/xet/xorb
    """
    place = 0
    while place + 8 <= len(xorb) and xorb[place] == 0:
        length, whole = (struct.unpack("<I", xorb[at : at + 3] + b"\0")[0] for at in (place + 1, place + 5))
        data = xorb[place + 8 : place + 8 + length]
        scheme = xorb[place + 4]
        if scheme:
            data = pyarrow.decompress(data, decompressed_size=whole, codec="lz4", asbytes=True)
        yield _ungrouped(data) if scheme == 2 else data
        place += 8 + length


def _ungrouped(data: bytes) -> bytes:
    """Bytes that stood in four groups, every fourth one in each."""
    whole = bytearray(len(data))
    place = 0
    for group in range(4):
        length = len(range(group, len(data), 4))
        whole[group::4] = data[place : place + length]
        place += length
    return bytes(whole)


def _json(value: object) -> Response:
    return Response(json.dumps(value), mimetype="application/json")


def _said(status: int, words: str, code: str = "") -> Response:
    headers = {"X-Error-Message": words, **({"X-Error-Code": code} if code else {})}
    return Response(json.dumps({"error": words}), status, headers, mimetype="application/json")


@contextmanager
def receiving() -> Iterator[ReceivingHub]:
    """A Hub while the block runs."""
    hub = ReceivingHub()
    server = make_server("127.0.0.1", 0, hub, threaded=True)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
