"""A resident model inside this process, asked by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forgellm.domain.chat import Answer, GenerationRequest, ModelStatus, Target
from forgellm.domain.errors import ForgeError
from forgellm.inference.engine import Engine
from forgellm.inference.memory import Room, check_fits, needed_bytes
from forgellm.storage.targets import find_source
from forgellm.storage.workspace import Workspace


class LocalModel:
    """A `ModelService` over an engine: finds what a target names, and hands it over."""

    def __init__(
        self,
        workspace: Workspace,
        hub_cache: Path,
        engine: Engine,
        *,
        room: Callable[[], Room],
    ) -> None:
        """`room` tells the memory there is now."""
        self._room = room
        self._workspace = workspace
        self._hub_cache = hub_cache
        self._engine = engine

    def load(self, target: Target, *, force: bool = False) -> None:
        """Begin to make `target` resident.

        Raises what `find_source` raises, and OutOfMemory unless `force` is set, before anything is let go.
        """
        source = find_source(self._workspace, self._hub_cache, target)
        if not force:
            check_fits(source, self._room(), freed=self._freed())
        self._engine.load(source)

    def unload(self) -> None:
        """Let go of the model; returns when its memory is free."""
        self._engine.unload()

    def status(self) -> ModelStatus:
        """What is resident now, or being loaded."""
        return self._engine.status()

    def generate(self, request: GenerationRequest) -> Answer:
        """Ask the resident model, waiting for one that is being loaded."""
        return self._engine.generate(request)

    def _freed(self) -> int:
        """What the resident model gives back before another one is loaded."""
        target = self._engine.status().target
        if target is None:
            return 0
        try:
            return needed_bytes(find_source(self._workspace, self._hub_cache, target))
        except ForgeError:
            # Its files were moved or changed meanwhile; better to ask for too little than for too much.
            return 0

    def close(self) -> None:
        """End the engine."""
        self._engine.close()
