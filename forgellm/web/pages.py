"""The page for people, at each of its addresses, and its files. What it shows comes from the API.

All pages are one document: the browser decides by the address which is shown (static/js/pages.js).
"""

from __future__ import annotations

import json
import mimetypes
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from flask import render_template, request
from pydantic import ConfigDict

from forgellm import __version__
from forgellm.api.errors import NotFound
from forgellm.api.routes import Answer, File, Query, Raw, Route
from forgellm.domain.errors import InvalidPath, PathNotFound
from forgellm.forge import Forge
from forgellm.settings import packaged

PAGES = (
    "/models",
    "/data",
    "/data/<name>",
    "/train",
    "/runs",
    "/runs/<run_id>",
    "/compare",
    "/chat",
    "/chat/<chat_id>",
)
"""Every address of the page but `/`."""

_ADDRESS = re.compile("|".join(["/", *(re.sub("<[a-z_]+>", "[^/]+", page) for page in PAGES)]))
# Built files carry a hash of their content in their names.
_BUILT = "dist"
_FOR_EVER = "private, max-age=31536000, immutable"
_HTML = "text/html; charset=utf-8"


class Welcome(Answer):
    name: str = "ForgeLLM"
    version: str = __version__
    service: str = "ForgeLLM"
    docs: str = "/docs"
    documentation: str = "/openapi.json"
    health: str = "/api/health"


class Visit(Query):
    """A link may add what it likes to the address of the page."""

    model_config = ConfigDict(extra="ignore")


def is_page(path: str) -> bool:
    """Whether a browser may open this path, also from a link on another site."""
    return _ADDRESS.fullmatch(path) is not None


def home(forge: Forge, query: Visit) -> Welcome | Raw:
    """The page; JSON for clients that ask for it, or that ask for nothing."""
    return _document(forge) if _is_browser() else Welcome()


def page(forge: Forge, query: Visit, **_: str) -> Raw:
    """The page at one of its addresses, for browsers only."""
    if not _is_browser():
        raise NotFound(
            f"there is nothing at {request.path[:200]!r} but a page for browsers",
            details={"path": request.path[:200], "method": request.method},
            suggestion="GET /openapi.json lists every route.",
        )
    return _document(forge)


def missing(forge: Forge, *, programs: Collection[str]) -> Raw | None:
    """The page, which says that it has nothing at this address, for browsers only; None below the first
    parts of paths that are for `programs`."""
    first = request.path.split("/")[1]
    shown = request.method in ("GET", "HEAD") and _is_browser() and first not in programs
    return _document(forge) if shown else None


def static(_: Forge, name: str) -> File:
    """A file of the page."""
    root = packaged("static").resolve()
    path = (root / name).resolve() if "\0" not in name and "\\" not in name else root
    if root not in path.parents:
        raise InvalidPath(f"{name[:80]!r} is no file of the page", suggestion="Reload the page.")
    # Unlike Path.is_file, it does not mind a name that is too long for a file.
    if not os.path.isfile(path) or path.name.startswith("."):
        raise PathNotFound(f"there is no file {name[:80]!r}", suggestion="Reload the page.")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return File(path, kind, cached=_FOR_EVER if path.parent == root / _BUILT else None)


def _is_browser() -> bool:
    known = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(known, default="application/json") == "text/html"


def _document(forge: Forge) -> Raw:
    files = _files(packaged("static") / _BUILT)
    if files is None:
        return Raw(render_template("unbuilt.html").encode(), _HTML)
    workspace = forge.workspace.root.name or "/"
    text = render_template("base.html", version=__version__, workspace=workspace, files=files)
    return Raw(text.encode(), _HTML)


def _files(folder: Path) -> Mapping[str, object] | None:
    """What the last build made; read anew, since it may be built again while the server runs."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return manifest if isinstance(manifest, dict) else None


ROUTES = (
    Route("GET", "/", home, media_type="text/html"),
    *(Route("GET", path, page, media_type="text/html") for path in PAGES),
    Route("GET", "/static/<path:name>", static, media_type="application/octet-stream"),
)
