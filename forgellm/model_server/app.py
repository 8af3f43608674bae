"""The model server's application: the model API, OpenAI's, health, and the guard in front of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask

from forgellm.api import model_routes
from forgellm.api.guard import JSON_LIMIT, Access, Guard
from forgellm.api.http import handle_errors, register
from forgellm.api.native.health import Health, measured
from forgellm.api.openapi import openapi_route
from forgellm.api.places import places
from forgellm.api.routes import Route
from forgellm.forge import Forge
from forgellm.inference.engine import Engine
from forgellm.inference.local import LocalModel
from forgellm.inference.options import EngineOptions
from forgellm.services.memory import machine, room
from forgellm.services.model_host import ModelHost

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def health(host: ModelHost) -> Health:
    """Whether this server runs, and the memory and disk that are left."""
    return measured(host.parts, web_server=None, model_server="running")


ROUTES = (*model_routes.ROUTES, Route("GET", "/api/health", health))


@dataclass(frozen=True)
class ModelApp:
    """The application, and the model it answers with. `close` ends the engine's thread."""

    wsgi: WSGIApplication
    host: ModelHost
    engine: Engine

    def close(self) -> None:
        self.engine.close()


def create_app(
    forge: Forge, access: Access, *, options: EngineOptions | None = None, auto_load: bool = True
) -> ModelApp:
    """The application over the models of `forge`; nothing is loaded yet. `auto_load`: whether a request that
    names another model has it loaded."""
    engine = Engine(forge.environment, options)
    model = LocalModel(forge.workspace, forge.hub_cache, engine, room=lambda: room(machine()))
    host = ModelHost(forge, model, auto_load=auto_load)
    app = Flask("forgellm.model_server", static_folder=None, template_folder=None)
    # One more: Werkzeug cuts a chunked body off at this without a word.
    app.config["MAX_CONTENT_LENGTH"] = JSON_LIMIT + 1
    app.url_map.strict_slashes = False
    # A redirect would not have the shape of an error.
    app.url_map.merge_slashes = False
    register(app, host, [*ROUTES, openapi_route(ROUTES)], known=places(forge))
    handle_errors(app, forge)
    return ModelApp(Guard(app.wsgi_app, access, is_page=lambda _: False), host, engine)
