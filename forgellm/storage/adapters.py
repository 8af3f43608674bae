"""adapter_config.json: which weights of an adapter learn, and in which form. Weights are read elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forgellm.domain.errors import InvalidAdapter
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.files import read_json, write_json

_LARGEST_SCALE = 1e6
"""Thousands of times what any tool writes: beyond it the product soon is no number any more."""


@dataclass(frozen=True)
class AdapterConfig:
    """What adapter_config.json says: which weights learn and in which form.

    `scale` multiplies the low-rank product (alpha / rank in other tools); `keys` are module names inside
    a block, all linear ones when None; `train_also` names whole weights that learn beside them.
    """

    fine_tune_type: str
    num_layers: int
    rank: int
    scale: float
    dropout: float
    keys: tuple[str, ...] | None = None
    train_also: tuple[str, ...] = ()
    model: str = ""


def write_config(folder: Path, config: AdapterConfig) -> None:
    """Write adapter_config.json in the form `mlx_lm.load_adapters` reads."""
    lora: dict[str, object] = {"rank": config.rank, "scale": config.scale, "dropout": config.dropout}
    if config.keys:
        lora["keys"] = list(config.keys)
    write_json(
        folder / "adapter_config.json",
        {
            "fine_tune_type": config.fine_tune_type,
            "num_layers": config.num_layers,
            "lora_parameters": lora,
            "train_also": list(config.train_also),
            "model": config.model,
        },
    )


def read_config(folder: Path) -> AdapterConfig:
    """Read adapter_config.json, ours or mlx-lm's. Raises InvalidAdapter when it is missing or incomplete."""
    path = folder / "adapter_config.json"
    try:
        raw: Any = read_json(path)
        lora: Mapping[str, Any] = raw.get("lora_parameters") or {}
        keys = lora.get("keys")
        config = AdapterConfig(
            fine_tune_type=raw.get("fine_tune_type", "lora"),
            num_layers=int(raw["num_layers"]),
            rank=int(lora.get("rank", 8)),
            scale=float(lora.get("scale", 20.0)),
            dropout=float(lora.get("dropout", 0.0)),
            keys=tuple(keys) if keys else None,
            train_also=tuple(raw.get("train_also", ())),
            model=str(raw.get("model", "")),
        )
        _check_ranges(config)
        return config
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidAdapter(
            f"{path.name} in {folder.name} cannot be read: {error}",
            suggestion="Name a run's folder or one of its checkpoint files.",
        ) from None


def _check_ranges(config: AdapterConfig) -> None:
    """Raises ValueError for what no layer can be made with."""
    if config.rank < 1:
        raise ValueError(f"rank {config.rank} is below 1")
    if not abs(config.scale) <= _LARGEST_SCALE:
        raise ValueError(f"scale {config.scale} is not from {-_LARGEST_SCALE:g} to {_LARGEST_SCALE:g}")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout {config.dropout} is not from 0 to below 1")


def config_of(spec: TrainingSpec) -> AdapterConfig:
    """The adapter that a spec asks for."""
    return AdapterConfig(
        fine_tune_type=spec.fine_tune_type,
        num_layers=spec.num_layers,
        rank=spec.lora_rank,
        scale=spec.lora_scale,
        dropout=spec.lora_dropout,
        keys=spec.lora_keys or None,
        train_also=spec.train_also,
        model=spec.model_name,
    )


def saved_config_of(spec: TrainingSpec) -> AdapterConfig:
    """The adapter that a run of this spec leaves: of PiSSA the change of its factors, of twice their rank."""
    config = config_of(spec)
    return replace(config, rank=2 * config.rank) if spec.lora_init == "pissa" else config


def values_of(config: AdapterConfig) -> dict[str, object]:
    """The fields of a spec that continues this adapter: what decides the names and shapes of its weights."""
    return {
        "fine_tune_type": config.fine_tune_type,
        "num_layers": config.num_layers,
        "lora_rank": config.rank,
        "lora_scale": config.scale,
        "lora_keys": list(config.keys) if config.keys else None,
        "train_also": list(config.train_also),
    }


def adapter_files(path: Path) -> tuple[Path, Path]:
    """(folder of adapter_config.json, weights) of an adapter named by its folder or by one of its files."""
    return (path, path / "adapters.safetensors") if path.is_dir() else (path.parent, path)


def absence(path: Path) -> str | None:
    """What an adapter named by its folder or by one of its files lacks, in words; None where all is there."""
    if not path.exists():
        return "is not there"
    folder, weights = adapter_files(path)
    missing = [p.name for p in (weights, folder / "adapter_config.json") if not p.is_file()]
    return f"has no {' and no '.join(missing)}" if missing else None


def check_continues(folder: Path, spec: TrainingSpec) -> None:
    """That a spec trains an adapter of the form that lies in `folder`. Raises InvalidAdapter."""
    theirs, ours = values_of(read_config(folder)), values_of(config_of(spec))
    for name, value in theirs.items():
        if ours[name] != value:
            raise InvalidAdapter(
                f"the adapter in {folder.name} has {name} {value!r}, the spec {ours[name]!r}",
                details={"field": name, "adapter": value, "spec": ours[name]},
                suggestion=f"Leave {name} out: it is taken from the adapter that the run starts from.",
            )
