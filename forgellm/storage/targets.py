"""From what is to be answered with, by name, to the files it is made of. Nothing is loaded or written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.chat import Target
from forgellm.domain.errors import InvalidAdapter, PathNotFound
from forgellm.storage.adapters import absence, adapter_files, read_config
from forgellm.storage.checkpoints import check_intact, sha256_of
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import read_run
from forgellm.storage.weights import file_problem
from forgellm.storage.workspace import Workspace

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json")


@dataclass(frozen=True)
class Source:
    """A target found on the disk. `identity` changes whenever the base's or its tokenizer's files do.

    `adapter` is (the folder of adapter_config.json, the weights), `adapter_identity` the hash of both.
    """

    target: Target
    model_path: Path
    config: Mapping[str, object]
    identity: str
    adapter: tuple[Path, Path] | None = None
    adapter_identity: str | None = None


def find_source(workspace: Workspace, hub_cache: Path, target: Target) -> Source:
    """The files of `target`: its model by name, and its adapter, a folder or one of its checkpoint files.

    Raises ModelNotFound, InvalidModel, UntrustedModelCode, InvalidPath, PathNotFound for an adapter, and
    InvalidAdapter where a file of it is missing or damaged, or where it was trained on another model.
    """
    model = find_model(workspace, hub_cache, target.model_name)
    identity = f"{model.path}:{fingerprint(model.path)}:{_stamp(model.path)}"
    if target.adapter_path is None:
        return Source(target, model.path, model.config, identity)
    path = workspace.resolve(target.adapter_path)
    _check_there(target.adapter_path, path)
    folder, weights = adapter_files(path)
    check_intact(weights)
    _check_readable(folder, weights)
    _check_base(folder, model.path, target)
    adapter_identity = f"{sha256_of(weights)}:{sha256_of(folder / 'adapter_config.json')}"
    return Source(target, model.path, model.config, identity, (folder, weights), adapter_identity)


def _stamp(folder: Path) -> str:
    """Changes whenever a file does that decides how text becomes tokens."""
    found = [(folder / name).stat() for name in _TOKENIZER_FILES if (folder / name).is_file()]
    text = " ".join(f"{status.st_ino} {status.st_size} {status.st_mtime_ns}" for status in found)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_there(text: str, path: Path) -> None:
    absent = absence(path)
    if absent is not None:
        kind = InvalidAdapter if path.exists() else PathNotFound
        raise kind(
            f"the adapter {text!r:.200} {absent}",
            details={"field": "adapter_path"},
            suggestion="Give the folder of a training run, or one of its checkpoint files.",
        )


def _check_readable(folder: Path, weights: Path) -> None:
    """Who asks for a file that was cut off hears so at once, not when it is loaded."""
    problem = file_problem(weights)
    if problem is not None:
        raise InvalidAdapter(
            f"the adapter in {folder.name} is damaged: {problem}",
            details={"field": "adapter_path", "problem": problem},
            suggestion="Copy it again, or choose another checkpoint.",
        )
    read_config(folder)


def _check_base(folder: Path, model_path: Path, target: Target) -> None:
    """Factors fit every model of the same shapes, and mean something on one alone."""
    run = read_run(folder)
    if run is not None and run.base_fingerprint not in (None, fingerprint(model_path)):
        trained_on = run.spec.get("model_name")
        raise InvalidAdapter(
            f"the adapter was trained on {trained_on}, not on {target.model_name}",
            details={"field": "adapter_path", "adapter": trained_on, "model_name": target.model_name},
            suggestion=f"Load {trained_on} with it.",
        )
