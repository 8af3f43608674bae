"""What ModelForge documents of itself."""

from __future__ import annotations

from typing import Literal

from forgellm.api.modelforge.training import STRATEGIES, TASKS
from forgellm.api.routes import Reply, Route
from forgellm.forge import Forge


class Info(Reply):
    providers: list[str]
    strategies: list[str]
    tasks: list[str]
    version: Literal["v2"] = "v2"


class Health(Reply):
    status: Literal["healthy"] = "healthy"
    version: Literal["v2"] = "v2"


def info(_: Forge) -> Info:
    """Providers (labels: the engine is MLX's), strategies and tasks. rlhf is documented and answers 501."""
    return Info(providers=["huggingface", "unsloth"], strategies=list(STRATEGIES), tasks=list(TASKS))


def health(_: Forge) -> Health:
    """That the server answers."""
    return Health()


ROUTES = (
    Route("GET", "/api/info", info),
    Route("GET", "/api/health", health),
)
