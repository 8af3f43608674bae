"""The page for people, and the files it consists of. What the page shows comes from the API."""

from __future__ import annotations

import mimetypes
import os

from flask import render_template, request
from pydantic import ConfigDict

from forgellm import __version__
from forgellm.api.routes import Answer, File, Query, Raw, Route
from forgellm.domain.errors import InvalidPath, PathNotFound
from forgellm.forge import Forge
from forgellm.settings import packaged


class Welcome(Answer):
    name: str = "ForgeLLM"
    version: str = __version__
    documentation: str = "/openapi.json"
    health: str = "/api/health"


class Visit(Query):
    """A link may add what it likes to the address of the page."""

    model_config = ConfigDict(extra="ignore")


def home(forge: Forge, query: Visit) -> Welcome | Raw:
    """The page; JSON for clients that ask for it, or that ask for nothing."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], default="application/json")
    if best != "text/html":
        return Welcome()
    page = render_template("index.html", version=__version__, workspace=forge.workspace.root.name)
    return Raw(page.encode(), "text/html; charset=utf-8")


def static(_: Forge, name: str) -> File:
    """A file of the page."""
    root = packaged("static").resolve()
    path = (root / name).resolve() if "\0" not in name and "\\" not in name else root
    if root not in path.parents:
        raise InvalidPath(f"{name[:80]!a} is no file of the page", suggestion="Reload the page.")
    # Unlike Path.is_file, it does not mind a name that is too long for a file.
    if not os.path.isfile(path) or path.name.startswith("."):
        raise PathNotFound(f"there is no file {name[:80]!a}", suggestion="Reload the page.")
    return File(path, mimetypes.guess_type(path.name)[0] or "application/octet-stream")


ROUTES = (
    Route("GET", "/", home, media_type="text/html"),
    Route("GET", "/static/<path:name>", static, media_type="application/octet-stream"),
)
