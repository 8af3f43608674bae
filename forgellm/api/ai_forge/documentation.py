"""/docs (Swagger UI) and /redoc over /openapi.json, which has the whole API.

Their scripts come from the packages flask-openapi-swagger and flask-openapi-redoc, of which nothing but these
files is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from forgellm.api.errors import NotFound
from forgellm.api.routes import File, Raw, Route
from forgellm.forge import Forge
from forgellm.settings import packaged

_HTML = "text/html; charset=utf-8"
_SCRIPT, _STYLE = "text/javascript", "text/css"
_KEPT = "private, max-age=86400"
_SWAGGER = {
    "swagger-ui.css": ("css/swagger-ui.css", _STYLE),
    "swagger-ui-bundle.js": ("js/swagger-ui-bundle.js", _SCRIPT),
}
_REDOC = {"redoc.standalone.js": ("js/redoc.standalone.js", _SCRIPT)}


def docs(_: Forge) -> Raw:
    """The API in Swagger UI, for browsers."""
    return Raw((packaged("templates") / "docs.html").read_bytes(), _HTML)


def redoc(_: Forge) -> Raw:
    """The API in Redoc, for browsers."""
    return Raw((packaged("templates") / "redoc.html").read_bytes(), _HTML)


def docs_file(_: Forge, name: str) -> File:
    """A file of Swagger UI."""
    return _file("flask_openapi_swagger", "swagger", _SWAGGER.get(name))


def redoc_file(_: Forge, name: str) -> File:
    """A file of Redoc."""
    return _file("flask_openapi_redoc", "redoc", _REDOC.get(name))


def _file(package: str, folder: str, known: tuple[str, str] | None) -> File:
    # Importing it would run it.
    spec = find_spec(package)
    if known is None or spec is None or not spec.submodule_search_locations:
        raise NotFound("there is no such file of the documentation", suggestion="Open /docs or /redoc.")
    place, kind = known
    return File(Path(spec.submodule_search_locations[0], "templates", folder, place), kind, cached=_KEPT)


ROUTES = (
    Route("GET", "/docs", docs, media_type="text/html"),
    Route("GET", "/redoc", redoc, media_type="text/html"),
)
FILES = (
    Route("GET", "/docs/<name>", docs_file, media_type="text/css"),
    Route("GET", "/redoc/<name>", redoc_file, media_type="text/javascript"),
)
