"""Which files of a model's folder belong to the model; others may lie beside them, or be linked to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgellm.domain.errors import InvalidModel, ModelNotFound
from forgellm.storage.models import TOKENIZERS, ModelFolder
from forgellm.storage.weights import INDEX, weight_files

# The tokenizer's files, the chat template, generation settings, licences: never code, pickles or images.
_DESCRIBES = re.compile(
    r".*\.(json|jsonl|txt|model|tiktoken|jinja)|(LICEN[SC]E|NOTICE|USE_POLICY).*", re.IGNORECASE
)
# Written anew by whoever publishes, or about the model's own weights.
_OWN = re.compile(
    r"config\.json|.*\.index\.json|published\.json|hf_quant_config\.json|adapter_config\.json|\..*"
)
_CARDS = ("README.md", "training_dashboard.png")


def described_files(folder: Path) -> Iterator[Path]:
    """What a model made from this one takes over: all but weights, configuration and card."""
    for path in sorted(folder.iterdir()):
        if _DESCRIBES.fullmatch(path.name) and not _OWN.fullmatch(path.name) and _belongs(path, folder):
            yield path


def whole_files(folder: Path) -> list[Path]:
    """All that makes up the model, its card included."""
    named = [folder / name for name in ("config.json", INDEX, *_CARDS)]
    own = [path for path in (*weight_files(folder), *named) if path.exists() and _belongs(path, folder)]
    return sorted([*own, *described_files(folder)])


def check_complete(folder: Path) -> None:
    """That a copy of the model has its weights and tokenizer. Raises InvalidModel for links that leave it."""
    needed = [*weight_files(folder), *(folder / name for name in TOKENIZERS)]
    for path in needed:
        if path.exists() and not _belongs(path, folder):
            raise InvalidModel(
                f"{path.name} of {folder.name} is a link out of the model's folder",
                details={"file": path.name, "model": folder.name},
                suggestion="Put the file itself into the folder.",
            )


@contextmanager
def read_whole(model: ModelFolder) -> Iterator[None]:
    """Name that a file of the model went while the block read it: ModelNotFound."""
    try:
        yield
    except FileNotFoundError as error:
        if model.path not in Path(str(error.filename)).parents and error.filename != str(model.path):
            raise
        raise ModelNotFound(
            f"{model.name} has gone, or lost files, while it was read",
            details={"model": model.name},
            suggestion="Put it back, and ask for it again.",
        ) from error


def _belongs(path: Path, folder: Path) -> bool:
    """Whether it is a file of the model: the Hub's cache links to its blobs, other links lead anywhere."""
    real = path.resolve()
    homes = (folder.resolve(), folder.resolve().parents[1] / "blobs")
    return real.is_file() and any(home in real.parents for home in homes)
