"""Models by name: a folder of the workspace or a Hub id in the local cache, complete and without own code.

Nothing is loaded and nothing is downloaded. What the configuration means to the engine is not decided here.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from forgellm.domain.errors import InvalidModel, InvalidPath, ModelNotFound, UntrustedModelCode, nearest
from forgellm.storage.weights import fingerprint, tensors, weight_files, weights_problem
from forgellm.storage.workspace import Workspace

__all__ = [
    "TOKENIZERS",
    "ModelFolder",
    "cache_folder",
    "check_code",
    "context_length",
    "find_model",
    "fingerprint",
    "has_chat_template",
    "is_hub_id",
    "is_quantized",
    "is_tied",
    "list_base_models",
    "read_model_config",
    "vocabulary_size",
]

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB_ID = re.compile(f"(?:{_PART}/)?{_PART}")
_REVISION = re.compile(r"[0-9a-f]{40}")
_CODE = ("model_file", "auto_map")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
_VOCABULARY = ("vocab_size", "padded_vocab_size")
_EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "tok_embeddings", "token_embeddings", "embed_in")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
# Of the machine, and not of the model.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True)
class ModelFolder:
    """A complete model: the name it was asked for by, its folder, and config.json, with the size of the
    vocabulary where the weights alone say it."""

    name: str
    path: Path
    config: Mapping[str, object]


def find_model(workspace: Workspace, hub_cache: Path, name: str) -> ModelFolder:
    """The model that `name` means: a path below `models/` (with or without that word), the bare name of a
    published or a base model there, or a Hub id.

    Raises ModelNotFound, InvalidPath, InvalidModel for an incomplete or broken folder, and
    UntrustedModelCode.
    """
    folder = _in_workspace(workspace, name)
    if folder is not None:
        return _open(name, folder)
    if not is_hub_id(name):
        workspace.resolve(name)
        raise _not_found(workspace, hub_cache, name)
    snapshot = _snapshot(hub_cache, name)
    if snapshot is None:
        raise _not_found(workspace, hub_cache, name)
    try:
        return _open(name, snapshot)
    except InvalidModel as error:
        # A download that was cut off leaves a snapshot folder; the model is simply not there yet.
        raise _not_found(workspace, hub_cache, name, partial=error.message) from error


def list_base_models(workspace: Workspace, hub_cache: Path) -> list[ModelFolder]:
    """Every usable model below `models/base/` and in the Hub cache, by name."""
    names = [*_folders(workspace, workspace.base_models), *_cached(hub_cache)]
    found = (_try(workspace, hub_cache, name) for name in sorted(names))
    return [model for model in found if model is not None]


def context_length(config: Mapping[str, object]) -> int | None:
    """Tokens that the model was made for, or None where its configuration does not say."""
    return _integer(config, _CONTEXT)


def vocabulary_size(config: Mapping[str, object]) -> int:
    """Rows of the embedding, so that token ids are below it. Raises InvalidModel."""
    size = _integer(config, _VOCABULARY)
    if size is None:
        raise InvalidModel(
            "config.json does not say how large the vocabulary is",
            details={"field": "vocab_size"},
            suggestion="The configuration is incomplete: copy or download the model again.",
        )
    return size


def is_quantized(config: Mapping[str, object]) -> bool:
    """Whether the weights are stored in fewer bits than they were trained in."""
    return bool(config.get("quantization") or config.get("quantization_config"))


def is_tied(model: ModelFolder) -> bool:
    """Whether the output layer is the embedding: as the configuration says, or because there is no other."""
    if model.config.get("tie_word_embeddings") is True:
        return True
    names = (name for path in weight_files(model.path) for name in tensors(path) or ())
    return not any(name.endswith("lm_head.weight") for name in names)


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer of a model brings a form for conversations."""
    if any(folder.glob("chat_template*")):
        return True
    path = folder / "tokenizer_config.json"
    settings = (_object(path) if path.is_file() else None) or {}
    return bool(settings.get("chat_template") or settings.get("chat_template_type"))


def _integer(config: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    inner = config.get("text_config")
    for place in (config, inner if isinstance(inner, dict) else {}):
        for name in names:
            value = place.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _in_workspace(workspace: Workspace, name: str) -> Path | None:
    """The folder strictly below `models/` that a path means, read from the root, from `models/`, or from
    where published and base models lie.
    """
    for start in (None, workspace.models, workspace.published, workspace.base_models):
        try:
            path = workspace.resolve(name, within=start)
        except InvalidPath:
            continue
        if workspace.models.resolve() in path.parents and path.is_dir():
            return path
    return None


def is_hub_id(name: str) -> bool:
    """Whether `name` can be that of a model on the Hub."""
    return _HUB_ID.fullmatch(name) is not None and "--" not in name and ".." not in name


def cache_folder(hub_cache: Path, name: str) -> Path:
    """Where the cache keeps all revisions of a model."""
    return hub_cache / f"models--{name.replace('/', '--')}"


def _snapshot(hub_cache: Path, name: str) -> Path | None:
    """The folder of the revision that `main` pointed to when the model was downloaded."""
    model = cache_folder(hub_cache, name)
    try:
        revision = (model / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    folder = model / "snapshots" / revision
    return folder if _REVISION.fullmatch(revision) and os.path.isdir(folder) else None


def _open(name: str, folder: Path) -> ModelFolder:
    try:
        return _checked(name, folder)
    except OSError as error:
        # Another user's file, a bad disk, or a model that is moved away at this moment: no other one suffers.
        if error.errno in _PASSING:
            raise
        file = Path(error.filename or folder).name
        raise _invalid(name, folder, f"{file} cannot be read: {error.strerror}") from error


def _checked(name: str, folder: Path) -> ModelFolder:
    config = read_model_config(name, folder)
    check_code(name, config)
    problem = _tokenizer_problem(folder) or weights_problem(folder) or _layers_problem(folder, config)
    if problem is not None:
        raise _invalid(name, folder, problem)
    return ModelFolder(name, folder, _with_vocabulary(folder, config))


def _with_vocabulary(folder: Path, config: Mapping[str, object]) -> Mapping[str, object]:
    """Some are published without its size, for which the engine has defaults: what is stored decides."""
    if _integer(config, _VOCABULARY) is not None:
        return config
    named = ((n, t) for path in weight_files(folder) for n, t in (tensors(path) or {}).items())
    rows = [
        tensor.shape[0]
        for name, tensor in named
        if name.removesuffix(".weight").rpartition(".")[2] in _EMBEDDINGS and len(tensor.shape) == 2
    ]
    return {**config, "vocab_size": max(rows)} if rows else config


def check_code(name: str, config: Mapping[str, object]) -> None:
    """Raises UntrustedModelCode where the model wants code of its own to be run."""
    code = next((key for key in _CODE if key in config), None)
    if code is not None:
        raise UntrustedModelCode(
            f"{name} asks for code of its own to be run ({code} in config.json)",
            details={"model": name, "field": code},
            suggestion="Use a model of an architecture that mlx-lm knows; code from models is never run.",
        )


def read_model_config(name: str, folder: Path) -> Mapping[str, object]:
    """config.json of the model in `folder`. Raises InvalidModel."""
    path = folder / "config.json"
    if not path.is_file():
        raise _invalid(name, folder, "it has no config.json")
    config = _object(path)
    if config is None:
        raise _invalid(name, folder, "config.json is not a JSON object, or is cut off")
    if not isinstance(config.get("model_type"), str):
        raise _invalid(name, folder, "config.json names no model_type")
    return config


def _tokenizer_problem(folder: Path) -> str | None:
    present = [file for file in TOKENIZERS if (folder / file).is_file()]
    if not present:
        return "it has no tokenizer.json"
    if present[0] != "tokenizer.json":
        return None
    path = folder / "tokenizer.json"
    status = path.stat()
    usable = _is_tokenizer(path, (status.st_ino, status.st_size, status.st_mtime_ns))
    return None if usable else "tokenizer.json is not a tokenizer, or is cut off"


@lru_cache(maxsize=1024)
def _is_tokenizer(path: Path, _stamp: tuple[int, int, int]) -> bool:
    """Read once while the file is the one of the stamp: it has 10 MB, and lists ask for every model."""
    tokenizer = _object(path)
    return tokenizer is not None and isinstance(tokenizer.get("model"), dict)


def _layers_problem(folder: Path, config: Mapping[str, object]) -> str | None:
    """Layers are made before their weights are looked for: ten million of them fill the memory."""
    layers = _integer(config, _LAYERS)
    if layers is None:
        return None
    there = sum(len(tensors(path) or ()) for path in weight_files(folder))
    return (
        f"config.json says {layers} layers, and the weights are {there} tensors" if layers > there else None
    )


def _object(path: Path) -> dict[str, object] | None:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _invalid(name: str, folder: Path, problem: str) -> InvalidModel:
    others = [p.name for pattern in ("*.gguf", "*.bin", "*.pt", "*.npz") for p in folder.glob(pattern)]
    others = [name for name in others if not name.startswith(".")]
    suggestion = "Copy or download the model again."
    if "no model.safetensors" in problem and others:
        suggestion = f"Convert {others[0]} to safetensors first, for instance with mlx_lm.convert."
    if "cannot be read: " in problem:
        suggestion = "Make it readable for you, or copy or download the model again."
    return InvalidModel(
        f"{name} cannot be used: {problem}",
        details={"model": name, "path": str(folder), "problem": problem},
        suggestion=suggestion,
    )


def _not_found(
    workspace: Workspace, hub_cache: Path, name: str, *, partial: str | None = None
) -> ModelNotFound:
    shown = name if name.isprintable() and len(name) <= 200 else ascii(name[:200])
    folders = (workspace.base_models, workspace.published)
    known = sorted([*(n for f in folders for n in _folders(workspace, f)), *_cached(hub_cache)])
    others = [other for other in known if other != name]
    same = [other for other in others if other.rsplit("/", 1)[-1].casefold() == name.casefold()]
    near = same[0] if same else nearest(shown, others)
    way_out = "`forgellm models` lists those that are here; `forgellm models pull OWNER/NAME` downloads one."
    if is_hub_id(name):
        way_out = f"Download it with `forgellm models pull {name}`, or give a path such as models/base/NAME."
    message = f"{shown} is only partly downloaded: {partial}" if partial else f"there is no model {shown!r}"
    return ModelNotFound(
        message,
        details={
            "model": shown,
            "searched_paths": [str(workspace.models), str(hub_cache)],
            "nearest": near,
            "known": known[:50],
        },
        suggestion=f"Did you mean {near!r}? {way_out}" if near else way_out,
    )


def _folders(workspace: Workspace, folder: Path) -> Iterator[str]:
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir() and not path.name.startswith("."):
                yield path.relative_to(workspace.root).as_posix()


def _cached(hub_cache: Path) -> Iterator[str]:
    for path in hub_cache.glob("models--*"):
        name = path.name.removeprefix("models--").replace("--", "/")
        if is_hub_id(name) and _snapshot(hub_cache, name) is not None:
            yield name


def _try(workspace: Workspace, hub_cache: Path, name: str) -> ModelFolder | None:
    try:
        return find_model(workspace, hub_cache, name)
    except (ModelNotFound, InvalidModel, UntrustedModelCode, InvalidPath):
        return None
