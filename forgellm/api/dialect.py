"""What a dialect is: routes of its own, on the shared port as far as nobody else claims their paths, and all
of them once more below its prefix, with exactly the bodies and the shape of errors that it documents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from forgellm.api.routes import Route


@dataclass(frozen=True)
class Dialect:
    """`routes` take the Forge and are answered here, `model_routes` the host of a model and are passed on to
    the model server. `path` of each is as documented."""

    prefix: str
    routes: tuple[Route, ...]
    model_routes: tuple[Route, ...] = ()

    @property
    def strict(self) -> tuple[Route, ...]:
        """`routes` below the prefix."""
        return tuple(replace(route, path=self.prefix + route.path) for route in self.routes)

    @property
    def strict_model(self) -> tuple[Route, ...]:
        """`model_routes` below the prefix."""
        return tuple(replace(route, path=self.prefix + route.path) for route in self.model_routes)
