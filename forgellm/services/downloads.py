"""Downloading base models from the Hugging Face Hub into its own cache, where other tools find them too.

Only weights as safetensors, the tokenizer, the configuration and the card are fetched: no code, no pickles. A
model is there only once it is whole: until then nothing points to what has come. huggingface_hub begins a
large file anew when its process was ended in between, so the weights are fetched by what it does that with,
but into a file that stays.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from forgellm.domain.errors import (
    DiskFull,
    HubUnreachable,
    InvalidModel,
)
from forgellm.services.hub import OnProgress, alone, model_errors, not_a_hub, reporter
from forgellm.services.hub_search import check_hub_id
from forgellm.services.parts import Parts
from forgellm.storage.checkpoints import sha256_of
from forgellm.storage.files import storage_errors, write_bytes
from forgellm.storage.models import (
    TOKENIZERS,
    ModelFolder,
    cache_folder,
    check_code,
    find_model,
    read_model_config,
)
from forgellm.storage.pulls import PART, begun_files

_WEIGHTS = re.compile(r"model[^/]*\.safetensors")
_OTHERS = re.compile(r"[^/]+\.(json|jinja|tiktoken)|tokenizer\.model|merges\.txt|vocab\.txt|README\.md")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class _Files:
    """What a model consists of at `revision`: file name → size in bytes."""

    name: str
    revision: str
    weights: Mapping[str, int]
    others: Mapping[str, int]


def pull(parts: Parts, name: str, *, on_progress: OnProgress) -> ModelFolder:
    """Fetch the newest version of a model, going on with what an earlier attempt has fetched. Told is how far
    its weights are.

    Raises InvalidField, ModelNotFound, InvalidModel, UntrustedModelCode before any weights are fetched;
    HubUnreachable, DiskFull, ReadOnly, and RunConflict while another process fetches it.
    """
    check_hub_id(name)
    folder = cache_folder(parts.hub_cache, name)
    with model_errors(name):
        files = _listed(name)
    with model_errors(name), alone(parts.hub_cache / ".locks" / folder.name / "pull.lock", name):
        snapshot = folder / "snapshots" / files.revision
        for file in files.others:
            _link(parts.hub_cache, files, file)
        check_code(name, read_model_config(name, snapshot))
        _fetch_weights(parts.hub_cache, files, on_progress=on_progress)
        # The last step: whoever looks for the model by its name looks here.
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "refs" / "main", files.revision.encode())
        for part in begun_files(parts.hub_cache, name):
            # Of a version that nobody will go on with.
            part.unlink()
    return find_model(parts.workspace, parts.hub_cache, name)


def _listed(name: str) -> _Files:
    info = HfApi().model_info(name, files_metadata=True)
    sizes = {found.rfilename: found.size or 0 for found in info.siblings or []}
    weights = {file: size for file, size in sizes.items() if _WEIGHTS.fullmatch(file)}
    others = {file: size for file, size in sizes.items() if _OTHERS.fullmatch(file)}
    lacks = [
        what
        for what, there in (
            ("config.json", "config.json" in others),
            ("tokenizer.json", any(file in others for file in TOKENIZERS)),
            ("model.safetensors", bool(weights)),
        )
        if not there
    ]
    if lacks:
        raise InvalidModel(
            f"{name} cannot be used: it has no {' and no '.join(lacks)}",
            details={"model": name, "missing": lacks},
            suggestion="Choose one in the form of transformers or MLX, with safetensors.",
        )
    if not _REVISION.fullmatch(info.sha or ""):
        raise not_a_hub("what answers does not say which content a file has")
    return _Files(name, str(info.sha), weights, others)


def _fetch_weights(hub_cache: Path, files: _Files, *, on_progress: OnProgress) -> None:
    snapshot = cache_folder(hub_cache, files.name) / "snapshots" / files.revision
    total = sum(files.weights.values())
    here = sum(size for file, size in files.weights.items() if (snapshot / file).is_file())
    begun = sum(part.stat().st_size for part in begun_files(hub_cache, files.name))
    _check_room(hub_cache, total - here - begun, name=files.name)
    on_progress(here, total)
    for file, size in files.weights.items():
        if (snapshot / file).is_file():
            continue
        before = here

        def told(count: int, before: int = before) -> None:
            on_progress(before + count, total)

        _fetch(hub_cache, files, file, told=told)
        _link(hub_cache, files, file)
        here += size


def _fetch(hub_cache: Path, files: _Files, file: str, *, told: Callable[[int], None]) -> None:
    """Put the content of one file where huggingface_hub looks for it, going on where it was cut off."""
    url = hf_hub_url(files.name, file, revision=files.revision)
    headers = build_hf_headers()
    found = get_hf_file_metadata(url, headers=headers)
    blob = cache_folder(hub_cache, files.name) / "blobs" / _blob_name(found.etag)
    if blob.is_file():
        return
    part = blob.with_name(blob.name + PART)
    with storage_errors(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "ab") as target:
            have = target.tell()
            if found.size is not None and have > found.size:
                have = target.truncate(0)
            http_get(
                url,
                target,
                resume_size=have,
                headers=headers,
                expected_size=found.size,
                tqdm_class=reporter(told),
            )
        if _SHA256.fullmatch(blob.name) and sha256_of(part) != blob.name:
            part.unlink()
            raise HubUnreachable(
                f"{file} of {files.name} did not come as it was sent",
                suggestion="Pull it again: that file begins anew.",
            )
        part.rename(blob)


def _link(hub_cache: Path, files: _Files, file: str) -> None:
    """Have huggingface_hub put the file into the snapshot, fetching what is small or not there."""
    hf_hub_download(
        files.name, file, revision=files.revision, cache_dir=hub_cache, tqdm_class=reporter(lambda _: None)
    )


def _blob_name(etag: str | None) -> str:
    if etag is None or not re.fullmatch(r"[0-9A-Za-z-]+", etag):
        raise not_a_hub("what answers does not say which content a file has")
    return etag


def _check_room(hub_cache: Path, needed: int, *, name: str) -> None:
    free = shutil.disk_usage(hub_cache).free
    if free < needed:
        raise DiskFull(
            f"{name} needs {needed / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free",
            details={"path": str(hub_cache), "free_bytes": free, "needed_bytes": needed},
            suggestion="Free some space, or put the cache on another disk with HF_HOME.",
        )
