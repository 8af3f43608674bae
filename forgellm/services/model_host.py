"""One resident model for all who ask: by whatever is resident, or by a name that is then made resident."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from forgellm.domain.chat import Answer, GenerationRequest, ModelService, ModelStatus, Target
from forgellm.domain.errors import ForgeError, ModelNotLoaded
from forgellm.services.parts import Parts
from forgellm.services.resident import label, named


class ModelFixed(ForgeError):
    """Another model than the resident one was asked for, and the server may not load it by itself."""

    code = "MODEL_FIXED"
    status = 409


@dataclass(frozen=True)
class Named:
    """An answer, and the name of what answers."""

    name: str
    answer: Answer


class ModelHost:
    """A `ModelService` with the workspace that its names come from. `auto_load`: whether who asks by name has
    that model loaded."""

    def __init__(self, parts: Parts, service: ModelService, *, auto_load: bool = True) -> None:
        self.parts = parts
        self._service = service
        self._auto_load = auto_load
        # Between loading and asking, nobody else may load.
        self._turn = threading.Lock()

    def load(self, target: Target, *, force: bool = False) -> None:
        """Begin to make it resident. Raises what names a wrong target; OutOfMemory unless `force` is set."""
        with self._turn:
            self._service.load(target, force=force)

    def unload(self) -> None:
        """Let go of the model; returns when its memory is free."""
        with self._turn:
            self._service.unload()

    def status(self) -> ModelStatus:
        """What is resident now, or being loaded."""
        return self._service.status()

    def ask(self, request: GenerationRequest) -> Answer:
        """Ask what is resident. Raises what `ModelService.generate` raises."""
        return self._service.generate(request)

    def ask_by_name(self, name: str | None, request: GenerationRequest) -> Named:
        """Ask the model that `name` means, or the resident one. The plain base of a resident adapter answers
        as it is.

        Raises ModelNotFound and what loading raises; ModelFixed; what `ModelService.generate` raises.
        """
        with self._turn:
            resident = self.status().target
            if name is None:
                return Named(label(resident) if resident else "", self._service.generate(request))
            wanted = self._wanted(name, resident)
            if wanted != resident and _is_base_of(wanted, resident):
                request = replace(request, plain_base=True)
            elif wanted != resident:
                self._change(name, wanted, resident=resident)
            try:
                return Named(name, self._service.generate(request))
            except ModelNotLoaded:
                if self.status().error is not None:
                    raise
            # It was let go of in this very moment, because nobody had asked for it in a while.
            self._change(name, wanted, resident=None)
            return Named(name, self._service.generate(request))

    def compare(self, request: GenerationRequest) -> tuple[Answer, Answer]:
        """The same request to the base alone, and to the base with its adapter.

        Raises ModelNotLoaded where no adapter is resident.
        """
        with self._turn:
            target = self.status().target
            if target is not None and target.adapter_path is None:
                raise ModelNotLoaded(
                    f"{target.model_name} is resident without an adapter: there is nothing to compare",
                    suggestion="Load it with an adapter_path, or with the training_id of a run.",
                )
            base = self._service.generate(replace(request, plain_base=True))
            try:
                return base, self._service.generate(replace(request, plain_base=False))
            except ForgeError:
                base.cancel()
                raise

    def _wanted(self, name: str, resident: Target | None) -> Target:
        """Without a look at the disk where the name is that of what is resident."""
        if resident is not None and name == label(resident):
            return resident
        if resident is not None and name == resident.model_name:
            return Target(name)
        return named(self.parts, name)

    def _change(self, name: str, wanted: Target, *, resident: Target | None) -> None:
        if not self._auto_load:
            held = label(resident) if resident else "no model"
            raise ModelFixed(
                f"this server answers with {held}, and was told not to load {name!r:.200}",
                details={"field": "model", "resident": label(resident) if resident else None},
                suggestion="Leave `model` out, or load it first: POST /api/model/load.",
            )
        self._service.load(wanted)


def _is_base_of(wanted: Target, resident: Target | None) -> bool:
    return resident is not None and wanted == Target(resident.model_name)
