"""What AI Forge documents of itself."""

from __future__ import annotations

from typing import Literal

from forgellm.api.routes import Reply, Route
from forgellm.forge import Forge
from forgellm.services import ollama


class Health(Reply):
    status: Literal["healthy"] = "healthy"
    version: Literal["1.0.0"] = "1.0.0"
    ollama_connected: bool


class Service(Reply):
    service: Literal["AI Forge"] = "AI Forge"
    version: Literal["1.0.0"] = "1.0.0"
    docs: Literal["/docs"] = "/docs"


def health(_: Forge) -> Health:
    """That the server answers, and whether an Ollama does on this machine."""
    return Health(ollama_connected=ollama.answers())


def service(_: Forge) -> Service:
    """Which API this is."""
    return Service()


ROUTES = (
    Route("GET", "/health", health),
    Route("GET", "/", service),
)
