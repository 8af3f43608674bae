"""Pushing a model, or an adapter for PEFT, to the Hugging Face Hub: a run, started only when asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import get_token

from forgellm.domain.errors import InvalidField, InvalidPath, PathNotFound, nearest
from forgellm.domain.runs import Run, RunKind
from forgellm.exporting.hub_files import HubFiles, adapter_on_hub, gguf_files, model_on_hub
from forgellm.jobs import launcher
from forgellm.jobs.push_process import no_token
from forgellm.services.parts import Parts
from forgellm.services.training import versions
from forgellm.storage.model_files import check_complete
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(f"{_PART}/{_PART}")


@dataclass(frozen=True)
class HubFile:
    path: str
    size_bytes: int


@dataclass(frozen=True)
class Preview:
    """What would be on the Hub: `card` is its README.md, front matter included."""

    repo_id: str
    private: bool
    files: Sequence[HubFile]
    card: str


@dataclass(frozen=True)
class PushWish:
    """`model_name` is a model, or models/exports/NAME of an adapter for PEFT. `exports` are names of GGUF
    exports to lie beside a model. `update` lets files that are on the Hub be replaced."""

    model_name: str
    repo_id: str
    private: bool = True
    update: bool = False
    exports: Sequence[str] = ()


def preview(parts: Parts, wish: PushWish) -> Preview:
    """What a push would put on the Hub; asks nobody there.

    Raises InvalidField, ModelNotFound, InvalidModel, PathNotFound, UnsupportedExport.
    """
    files, _ = _files(parts, wish)
    texts = [HubFile(name, len(text.encode())) for name, text in files.texts.items()]
    known = [HubFile(path.name, path.stat().st_size) for path in files.paths]
    return Preview(wish.repo_id, wish.private, [*texts, *known], files.card)


def push(parts: Parts, wish: PushWish) -> Run:
    """Launch a run that puts it there. Raises what `preview` raises, and NoHubToken."""
    _, base_fingerprint = _files(parts, wish)
    if not (parts.environment.get("HF_TOKEN") or get_token()):
        raise no_token()
    adapter = _adapter_folder(parts, wish.model_name)
    spec = {
        "model_name": wish.model_name,
        "adapter": None if adapter is None else adapter.name,
        "exports": list(wish.exports),
        "repo_id": wish.repo_id,
        "private": wish.private,
        "update": wish.update,
    }
    run = create_run(
        parts.workspace,
        RunKind.PUSH,
        spec=spec,
        name=None,
        created=parts.clock(),
        versions=versions(),
        base_fingerprint=base_fingerprint,
    )
    launcher.launch_new(parts.workspace, run, environment=parts.environment)
    return run


def _files(parts: Parts, wish: PushWish) -> tuple[HubFiles, str | None]:
    if not _REPO.fullmatch(wish.repo_id) or re.search(r"--|\.\.|\.git$", wish.repo_id):
        raise InvalidField(
            f"repo_id {wish.repo_id!r:.200} is not OWNER/NAME as the Hub has it",
            details={"field": "repo_id"},
            suggestion="Give your name or an organization's there, a slash, and a name for the model.",
        )
    adapter = _adapter_folder(parts, wish.model_name)
    if adapter is not None:
        if wish.exports:
            raise InvalidField(
                "an adapter is pushed by itself",
                details={"field": "exports"},
                suggestion="A model beside it would be taken for its base: push that under another name.",
            )
        return adapter_on_hub(adapter, wish.repo_id), None
    model = find_model(parts.workspace, parts.hub_cache, wish.model_name)
    check_complete(model.path)
    ggufs = [path for name in wish.exports for path in gguf_files(_export(parts, name))]
    return model_on_hub(model.path, wish.repo_id, root=parts.workspace.root, ggufs=ggufs), fingerprint(
        model.path
    )


def _adapter_folder(parts: Parts, name: str) -> Path | None:
    found = re.fullmatch(r"(?:models/)?exports/([^/.][^/]*)/?", name)
    if found is None:
        return None
    with suppress(InvalidPath):
        folder = parts.workspace.resolve(found[1], within=parts.workspace.exports)
        return folder if (folder / "adapter_config.json").is_file() else None
    return None


def _export(parts: Parts, name: str) -> Path:
    home = parts.workspace.exports
    there = home.iterdir() if home.is_dir() else ()
    known = sorted(path.name for path in there if path.name[0] != "." and not path.is_symlink())
    if name not in known:
        near = nearest(name, known)
        raise PathNotFound(
            f"there is no export {name!r:.200}",
            details={"export": name, "known": known[:20]},
            suggestion=f"Did you mean {near}?" if near else "`forgellm export MODEL` makes one.",
        )
    return home / name
