"""A resident model inside this process, asked by name."""

from __future__ import annotations

from pathlib import Path

from forgellm.domain.chat import Answer, GenerationRequest, ModelStatus, Target
from forgellm.inference.engine import Engine
from forgellm.storage.targets import find_source
from forgellm.storage.workspace import Workspace


class LocalModel:
    """A `ModelService` over an engine: finds what a target names, and hands it over."""

    def __init__(self, workspace: Workspace, hub_cache: Path, engine: Engine) -> None:
        self._workspace = workspace
        self._hub_cache = hub_cache
        self._engine = engine

    def load(self, target: Target) -> None:
        """Begin to make `target` resident. Raises what `find_source` raises, before anything is let go."""
        self._engine.load(find_source(self._workspace, self._hub_cache, target))

    def unload(self) -> None:
        """Let go of the model; returns when its memory is free."""
        self._engine.unload()

    def status(self) -> ModelStatus:
        """What is resident now, or being loaded."""
        return self._engine.status()

    def generate(self, request: GenerationRequest) -> Answer:
        """Ask the resident model, waiting for one that is being loaded."""
        return self._engine.generate(request)

    def close(self) -> None:
        """End the engine."""
        self._engine.close()
