"""The web application: the native API, the way to the model, the page, Socket.IO, and the guard in front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.routing import PathConverter

from forgellm.api import dialects, model_routes
from forgellm.api.guard import JSON_LIMIT, Access, Guard
from forgellm.api.http import handle_errors, register
from forgellm.api.native import (
    after_training,
    chat_settings,
    chats,
    checkpoints,
    comparing,
    dashboard,
    dataset_contents,
    datasets,
    demo,
    hub,
    library,
    models,
    planning,
    preflight,
    pushing,
    runs,
    training,
)
from forgellm.api.openapi import openapi_route
from forgellm.api.places import places
from forgellm.api.uploads import UPLOAD_LIMIT
from forgellm.forge import Forge
from forgellm.settings import packaged
from forgellm.web import pages
from forgellm.web.live import Live
from forgellm.web.passthrough import pass_on
from forgellm.web.sockets import SocketPost, listen, sockets
from forgellm.web.training_socket import add_training_socket

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

NATIVE = (
    *planning.ROUTES,
    *preflight.ROUTES,
    *training.ROUTES,
    *checkpoints.ROUTES,
    *runs.ROUTES,
    *after_training.ROUTES,
    *pushing.ROUTES,
    *comparing.ROUTES,
    *library.ROUTES,
    *datasets.ROUTES,
    *dataset_contents.ROUTES,
    *models.ROUTES,
    *hub.ROUTES,
    *chat_settings.ROUTES,
    *chats.ROUTES,
    *dashboard.ROUTES,
    *demo.ROUTES,
)
DIALECTS = dialects.SHARED_PORT
_ANSWERED = (*NATIVE, *DIALECTS, *dialects.STRICT, *model_routes.ROUTES)
_FOR_PROGRAMS = frozenset({"socket.io", "static", "ws", *(route.path.split("/")[1] for route in _ANSWERED)})
"""What their paths begin with: an error is in the one shape there, whoever asks."""


class RestOfPath(PathConverter):
    """Everything up to the end of the path, nothing included."""

    regex = r"[\s\S]*?"
    part_isolating = False


@dataclass(frozen=True)
class WebApp:
    """The application with what runs beside it. Nothing reaches `flask` but through `wsgi`, the guard."""

    flask: Flask
    wsgi: WSGIApplication
    live: Live
    forge: Forge

    def start(self) -> None:
        """Begin to follow runs."""
        self.live.start()

    def stop(self) -> None:
        """End what `start` began."""
        self.live.stop()
        self.forge.inspections.close()


def create_app(forge: Forge, access: Access) -> WebApp:
    """The application over `forge`, for whoever `access` lets in."""
    app = Flask("forgellm", static_folder=None, template_folder=str(packaged("templates")))
    # One more: Werkzeug cuts a chunked body off at this without a word.
    app.config["MAX_CONTENT_LENGTH"] = JSON_LIMIT + 1
    app.url_map.strict_slashes = False
    # A redirect would not have the shape of an error.
    app.url_map.merge_slashes = False
    app.url_map.converters["rest"] = RestOfPath
    own = [*pages.ROUTES, *NATIVE, *DIALECTS, *dialects.STRICT]
    known = places(forge)
    register(app, forge, [*own, openapi_route([*own, *model_routes.ROUTES])], known=known)
    pass_on(app, forge, model_routes.ROUTES, token=access.token)
    add_training_socket(app, forge, known)
    handle_errors(app, forge, missing=partial(pages.missing, forge, programs=_FOR_PROGRAMS))
    server = sockets(app, [f"http://{host}" for host in sorted(access.hosts)])
    live = Live(forge, SocketPost(server, known))
    listen(server, forge, live)
    uploads = [route.path for route in own if route.uploads]
    guard = Guard(app.wsgi_app, access, is_page=pages.is_page, uploads=uploads, upload_limit=UPLOAD_LIMIT)
    return WebApp(app, guard, live, forge)
