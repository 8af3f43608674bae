"""What is put on the Hub: the files of a model or of an adapter for PEFT, and the card that is read there.

Nothing is sent here. published.json, which tells of the run and its dataset, and rows of data stay at home.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData

from forgellm.domain.errors import InvalidModel, UnsupportedExport
from forgellm.storage.files import read_json
from forgellm.storage.model_files import whole_files
from forgellm.storage.models import is_hub_id

CARD = "README.md"
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_CARD_BYTES = 1 << 20


@dataclass(frozen=True)
class HubFiles:
    """`paths` are pushed under their own names, `texts` under those that they are listed by."""

    paths: Sequence[Path]
    texts: Mapping[str, str]

    @property
    def card(self) -> str:
        """README.md as it will be there."""
        return self.texts[CARD]


def model_on_hub(folder: Path, repo: str, *, root: Path, ggufs: Sequence[Path] = ()) -> HubFiles:
    """A model's files, and beside them GGUF files that were exported from it; `root` is the workspace's.

    Raises InvalidModel where its card is missing or cannot be read.
    """
    files = whole_files(folder)
    paths = [path for path in files if path.name != CARD and path.suffix != ".jsonl"]
    card = _read_card(folder, files)
    if ggufs:
        card.data["tags"] = [*(card.data.get("tags") or []), "gguf"]
        card.text += "\n".join(["\n## GGUF\n", *(f"- `{path.name}`" for path in ggufs), ""])
    # Whoever reads it there has no folder of ours; it may have been renamed since its card was written.
    names = "|".join({re.escape(folder.name), re.escape(str(card.data.get("model_name") or folder.name))})
    plain = str(card).replace(f"{root}/", "")
    text = re.sub(rf"models/published/(?:{names})(?![\w.-])", lambda _: repo, plain)
    return HubFiles([*paths, *ggufs], {CARD: text})


def adapter_on_hub(folder: Path, repo: str) -> HubFiles:
    """An export for PEFT. Raises InvalidModel where one of its two files is missing."""
    for name in _ADAPTER:
        if not (folder / name).is_file() or (folder / name).is_symlink():
            raise InvalidModel(
                f"models/exports/{folder.name} has no {name}",
                details={"export": folder.name},
                suggestion="Push a model, or an adapter that was exported with --format peft.",
            )
    config, weights = (folder / name for name in _ADAPTER)
    known = read_json(config)
    known = known if isinstance(known, dict) else {}
    base = str(known.get("base_model_name_or_path"))
    # A path of this machine means nothing there, and may say more than is meant to be said.
    base_there = base if is_hub_id(base) and "/" in base and not base.startswith("models/") else None
    known = {**known, "base_model_name_or_path": base_there}
    texts = {CARD: _adapter_card(known, repo), config.name: json.dumps(known, indent=2) + "\n"}
    return HubFiles([weights], texts)


def gguf_files(folder: Path) -> list[Path]:
    """The GGUF files of an export. Raises UnsupportedExport where there is none."""
    # On some disks macOS keeps what it knows of a file beside it, under its name with "._" in front.
    named = (path for path in folder.glob("*.gguf") if not path.name.startswith("."))
    found = sorted(path for path in named if path.is_file() and not path.is_symlink())
    if not found:
        raise UnsupportedExport(
            f"models/exports/{folder.name} holds no GGUF file",
            details={"export": folder.name},
            suggestion="Name exports in the format gguf or ollama; a PEFT adapter is pushed by itself.",
        )
    return found


def _read_card(folder: Path, files: Sequence[Path]) -> ModelCard:
    path = folder / CARD
    try:
        if path not in files:
            raise FileNotFoundError(path)
        text = path.read_bytes()[:_CARD_BYTES].decode("utf-8")
        card = ModelCard(text)
    except FileNotFoundError:
        problem = "is missing"
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = f"cannot be read: {str(error).splitlines()[0]}"
    else:
        return card
    raise InvalidModel(
        f"the card of {folder.name}, {CARD}, {problem}",
        details={"model": folder.name},
        suggestion="Published and quantized models have one; for others write it: it is what people see "
        "of the model on the Hub.",
    )


def _adapter_card(config: Mapping[str, Any], repo: str) -> str:
    base = config["base_model_name_or_path"]
    kind = "dora" if config.get("use_dora") else "lora"
    data = ModelCardData(
        base_model=base,
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["peft", kind, "forgellm", "text-generation"],
    )
    text = "\n\n".join(_adapter_text(config, base, repo))
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def _adapter_text(config: Mapping[str, Any], base: str | None, repo: str) -> Iterator[str]:
    kind = "DoRA" if config.get("use_dora") else "LoRA"
    of = f"`{base}`" if base else "a model that is not on the Hub"
    yield f"# {repo.rpartition('/')[2]}"
    yield (
        f"A {kind} adapter of rank {config.get('r')} for {of}, in the layout of PEFT. "
        "It fits the base model that it was trained on, and no other.\n"
    )
