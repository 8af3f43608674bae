"""What is known of a dataset by looking into it: asked of another process, kept until the dataset changes.

What can be asked is in `jobs.inspect`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgellm import __version__
from forgellm.domain.errors import ForgeError
from forgellm.jobs.inspector import Inspector, OnProgress
from forgellm.storage.datasets import dataset_fingerprint, find_dataset
from forgellm.storage.files import read_json, storage_errors, write_json
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.workspace import Workspace

_KEPT = 500
# Without any progress. A chat template that does not come to an end makes none.
_BACKGROUND_SECONDS = 900.0


class InspectionCancelled(ForgeError):
    """The answer was not waited for."""

    code = "INSPECTION_CANCELLED"


@dataclass(frozen=True)
class Going:
    """A question that is being worked on: so much of `total` is `done`; `error` says why it failed."""

    done: int = 0
    total: int = 0
    error: ForgeError | None = None


class Inspections:
    """Questions to the inspection process, and the answers that are known already."""

    def __init__(self, workspace: Workspace, hub_cache: Path, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._hub_cache = hub_cache
        self._inspector = Inspector(environment)
        self._going: dict[str, Going] = {}
        self._cancelled: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def ask(
        self, question: Mapping[str, object], *, seconds: float, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The answer to `question`, asked anew. Raises what it is refused with."""
        places = {"workspace": str(self._workspace.root), "hub_cache": str(self._hub_cache)}
        return self._inspector.ask({**question, **places}, seconds=seconds, on_progress=on_progress)

    def recall(
        self, question: Mapping[str, object], *, seconds: float, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The answer to `question` about a `dataset` and perhaps a `model`, kept while none of it changes.

        Raises DatasetNotFound, ModelNotFound, and what the question is refused with.
        """
        key = self._key(question)
        known = self._read(key)
        if known is not None:
            return known
        answer = self.ask(question, seconds=seconds, on_progress=on_progress)
        # What has changed meanwhile was read as a mixture of both.
        if self._key(question) == key:
            self._write(key, answer)
        return answer

    def known(self, question: Mapping[str, object]) -> dict[str, Any] | None:
        """The answer, where it is known already. Raises DatasetNotFound, ModelNotFound."""
        return self._read(self._key(question))

    def going(self, question: Mapping[str, object]) -> Going | None:
        """How far the work on it in the background is; None where nobody works on it."""
        with self._lock:
            return self._going.get(self._key(question))

    def begin(self, question: Mapping[str, object]) -> None:
        """Have it answered in the background, unless that is going on. Raises as `known` does."""
        key = self._key(question)
        with self._lock:
            now = self._going.get(key)
            if now is not None and now.error is None:
                return
            self._going[key] = Going()
            cancelled = self._cancelled[key] = threading.Event()
        thread = threading.Thread(
            target=self._answer_in_background, args=(key, question, cancelled), name="inspection", daemon=True
        )
        thread.start()

    def cancel(self, question: Mapping[str, object]) -> bool:
        """Have the work on it in the background ended at its next step; whether there was any."""
        key = self._key(question)
        with self._lock:
            cancelled = self._cancelled.pop(key, None)
            if cancelled is not None:
                cancelled.set()
            return self._going.pop(key, None) is not None

    def close(self) -> None:
        """End the process that waits for questions."""
        self._inspector.close()

    def _answer_in_background(
        self, key: str, question: Mapping[str, object], cancelled: threading.Event
    ) -> None:
        def told(done: int, total: int) -> None:
            if cancelled.is_set():
                raise InspectionCancelled("nobody waits for the answer any more")
            self._set(key, Going(done, total), unless=cancelled)

        try:
            self.recall(question, seconds=_BACKGROUND_SECONDS, on_progress=told)
        except ForgeError as error:
            self._set(key, Going(error=error), unless=cancelled)
        else:
            self._set(key, None, unless=cancelled)

    def _set(self, key: str, going: Going | None, *, unless: threading.Event) -> None:
        with self._lock:
            # Another one may have begun with the same question since.
            if unless.is_set():
                return
            if going is None:
                self._cancelled.pop(key, None)
                self._going.pop(key, None)
            else:
                self._going[key] = going

    def _key(self, question: Mapping[str, object]) -> str:
        """Another one whenever the question, the dataset, the model or the program is another."""
        folder = find_dataset(self._workspace, str(question["dataset"]))
        model = question.get("model")
        parts: list[object] = [__version__, dict(question), dataset_fingerprint(folder)]
        if model is not None:
            path = find_model(self._workspace, self._hub_cache, str(model)).path
            parts += [fingerprint(path), *_looks(path)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def _folder(self) -> Path:
        return self._workspace.private / "inspections"

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            answer = read_json(self._folder / f"{key}.json")
        except (OSError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def _write(self, key: str, answer: Mapping[str, object]) -> None:
        """An answer that cannot be kept is asked for again."""
        with suppress(ForgeError, OSError):
            with storage_errors(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            write_json(self._folder / f"{key}.json", answer)
            kept = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[:-_KEPT]:
                path.unlink(missing_ok=True)


def _looks(model: Path) -> list[object]:
    """Size and time of what is not weights: its tokenizer and its chat template."""
    files = [path for path in sorted(model.iterdir()) if path.suffix in (".json", ".jinja", ".model")]
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
