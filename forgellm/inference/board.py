"""What every thread may know of the engine: what is loaded or loading, why not, and how many are asking."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

from forgellm.domain.chat import ModelStatus
from forgellm.domain.errors import ForgeError, ModelBusy, ModelNotLoaded
from forgellm.inference.prompts import ChatForm
from forgellm.storage.targets import Source


@dataclass(frozen=True, eq=False)
class Loaded:
    """What may be known of a resident model without touching it. A new one for each load."""

    source: Source
    form: ChatForm
    context: int | None


class Board:
    """Written by the engine's thread, read by all. `at_once` requests are answered together."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._changed = threading.Condition()
        self._loading: list[Source] = []
        self._loaded: Loaded | None = None
        self._failure: ForgeError | None = None
        self._open = 0

    def begin_loading(self, source: Source) -> None:
        """A load was asked for."""
        with self._changed:
            self._loading.append(source)
            self._failure = None

    def end_loading(self, loaded: Loaded | None, failure: ForgeError | None = None) -> None:
        """The load that was asked for first is done, or failed."""
        with self._changed:
            self._loading.pop(0)
            self._loaded, self._failure = loaded, failure
            self._changed.notify_all()

    def unloaded(self) -> None:
        """Nothing is resident any more, because nobody wanted it."""
        with self._changed:
            self._loaded = None

    def let_go_if_unused(self) -> bool:
        """Say that nothing is resident any more, unless a request is on its way to what is."""
        with self._changed:
            if self._open > 0:
                return False
            self._loaded = None
            return True

    def current(self) -> Loaded:
        """What is resident, once nothing is being loaded. Raises ModelNotLoaded."""
        with self._changed:
            self._changed.wait_for(lambda: not self._loading)
            if self._loaded is None:
                raise not_loaded(self._failure)
            return self._loaded

    def is_current(self, loaded: Loaded) -> bool:
        """Whether `loaded` is resident and will be until another load is asked for."""
        with self._changed:
            return self._loaded is loaded and not self._loading

    def enter(self) -> None:
        """One more request. Raises ModelBusy."""
        with self._changed:
            if self._open >= self._most:
                raise ModelBusy(
                    f"{self._open} requests wait for the model already",
                    details={"requests": self._open},
                    suggestion="Try again in a moment.",
                )
            self._open += 1

    def leave(self) -> None:
        """One request less."""
        with self._changed:
            self._open -= 1

    def status(self) -> ModelStatus:
        """What is resident now, or being loaded."""
        with self._changed:
            loading, loaded = self._loading[-1:], self._loaded
            source = loading[0] if loading else loaded.source if loaded else None
            known = None if loading else loaded
            return ModelStatus(
                target=source.target if source else None,
                is_loading=bool(loading),
                model_type=known.form.model_type if known else None,
                memory_bytes=psutil.Process().memory_info().rss,
                context_length=known.context if known else None,
                error=described(self._failure) if self._failure else None,
                active_requests=min(self._open, self._at_once),
                waiting_requests=max(0, self._open - self._at_once),
            )


def not_loaded(failure: ForgeError | None) -> ModelNotLoaded:
    """Why a request cannot be answered. The status is that of the failed load, where one is to blame."""
    if failure is None:
        return ModelNotLoaded("no model is loaded", suggestion="Load one first: POST /api/model/load.")
    error = ModelNotLoaded(
        f"no model is loaded: {failure.message}",
        details={"cause": described(failure)},
        suggestion=failure.suggestion,
    )
    error.status = failure.status
    return error


def described(error: ForgeError) -> dict[str, object]:
    """The error as plain values."""
    return {
        "code": error.code,
        "error": error.message,
        "details": error.details,
        "suggestion": error.suggestion,
    }
