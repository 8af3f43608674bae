"""Base models and adapters: load, choose what learns, save, verify, fuse.

Layers come from mlx_lm.tuner. Unlike `load_weights(strict=False)` nothing is loaded that does not fit:
every key and every shape must match, and every value must be finite.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import dequantize_model, load_model

from forgellm.domain.device_failures import kind_of
from forgellm.domain.errors import InvalidAdapter, InvalidField, InvalidModel
from forgellm.storage.adapters import AdapterConfig
from forgellm.storage.files import atomic_path

Weights = dict[str, mx.array]


def load_base(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load a base model's weights, without its tokenizer. Raises InvalidModel, never a partial model."""
    try:
        model, config = load_model(path)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        if kind_of(error) is not None:
            raise
        raise InvalidModel(
            f"{path.name} cannot be loaded: {error}",
            details={"model": path.name},
            suggestion="Check that config.json and the weights belong together, or fetch the model again.",
        ) from None
    model.freeze()
    return model, config


def attach(model: nn.Module, config: AdapterConfig) -> None:
    """Insert low-rank layers and mark what learns; everything else is frozen.

    Low-rank factors are drawn from mlx's global random state: seed it first. Raises InvalidField where the
    base is quantized and whole weights of it should learn, or where `keys` name no module.
    """
    model.freeze()
    if config.fine_tune_type == "full":
        _refuse_quantized(model, "fine_tune_type full")
        for block in _last_blocks(model, config.num_layers):
            block.unfreeze()
    elif config.num_layers != 0:
        parameters = {"rank": config.rank, "scale": config.scale, "dropout": config.dropout}
        if config.keys:
            _check_keys(model, config.keys)
            parameters["keys"] = set(config.keys)  # type: ignore[assignment]
        if config.fine_tune_type == "dora":
            _check_dora(model, config.keys)
        linear_to_lora_layers(model, config.num_layers, parameters, config.fine_tune_type == "dora")
    for choice in config.train_also:
        _unfreeze_whole(model, choice)


def check_precision(model: nn.Module, optimizer: str) -> None:
    """Refuse whole float16 weights under an optimiser whose squared gradients underflow in that type.

    Their epsilon of 1e-8 is zero in float16, so the second update divides by zero at any learning rate.
    """
    half = [name for name, value in trainable_weights(model).items() if value.dtype == mx.float16]
    if half and optimizer in ("adamw", "adam", "adafactor"):
        raise InvalidField(
            f"{optimizer} cannot train whole float16 weights such as {half[0]}",
            details={"field": "optimizer", "weight": half[0]},
            suggestion="Use fine_tune_type lora without train_also, or a bfloat16 copy of the model.",
        )


def trainable_weights(model: nn.Module) -> Weights:
    """What learns, by name."""
    return dict(tree_flatten(model.trainable_parameters()))


def save_weights(path: Path, weights: Weights) -> None:
    """Write a safetensors file beside its place, sync it, rename it."""
    with atomic_path(path) as temporary:
        mx.save_safetensors(str(temporary), weights, {"format": "mlx"})


def are_finite(weights: Weights) -> bool:
    """Whether every value of every weight is finite."""
    checks = [mx.isfinite(w).all() for w in weights.values()]
    return bool(mx.stack(checks).all().item()) if checks else True


def load_adapter(model: nn.Module, weights_path: Path, config: AdapterConfig) -> None:
    """Attach `config`'s layers to a fresh base and load exactly these weights into what learns, to answer.

    Raises InvalidAdapter when a key is missing or foreign, a shape differs or a value is not finite.
    """
    attach(model, config)
    load_trainable(model, read_weights(weights_path), source=weights_path.name)
    # Layers that are new come in training mode, whatever mode the model is in.
    model.eval()


def read_weights(path: Path) -> Weights:
    """Read a safetensors file whole. Raises InvalidAdapter when it is missing, truncated or not one."""
    try:
        weights: Weights = mx.load(str(path))  # type: ignore[assignment]
        mx.eval(weights)
    except (RuntimeError, ValueError, OSError) as error:
        if kind_of(error) is not None:
            raise
        raise InvalidAdapter(
            f"{path.name} cannot be read: {error}", suggestion="Choose another checkpoint of the run."
        ) from None
    return weights


def load_trainable(model: nn.Module, weights: Weights, *, source: str) -> None:
    """Put `weights` into the trainable parameters of `model`; they must be exactly those."""
    expected = trainable_weights(model)
    problems = [f"{name} is missing" for name in expected.keys() - weights.keys()]
    problems += [f"{name} is foreign" for name in weights.keys() - expected.keys()]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, not {tuple(expected[name].shape)}"
        for name in expected.keys() & weights.keys()
        if weights[name].shape != expected[name].shape
    ]
    if not problems and not are_finite(weights):
        problems = ["it holds values that are not finite"]
    if problems:
        raise InvalidAdapter(
            f"{source} does not fit the base model: {sorted(problems)[0]}",
            details={"source": source, "problems": sorted(problems)[:20]},
            suggestion="Use the base model and the adapter settings it was trained with.",
        )
    model.load_weights(list(weights.items()), strict=False)


def fuse(model: nn.Module) -> None:
    """Merge the adapter into the base in place; quantized layers become plain ones.

    Fusing into a quantized base by quantizing again keeps only part of what was learned (42 % of the gain
    at 4 bit, measured; mlx-lm issue 1172), so the result is dequantized. Weights keep the base's type.
    """
    fused = []
    for name, module in model.named_modules():
        if hasattr(module, "fuse"):
            merged = module.fuse(dequantize=True)
            merged.weight = merged.weight.astype(_weight_type(module))
            fused.append((name, merged))
    if fused:
        model.update_modules(tree_unflatten(fused))
    dequantize_model(model)
    mx.eval(model.parameters())


def is_quantized(model: nn.Module) -> bool:
    """Whether any layer of the model is quantized."""
    return any(hasattr(module, "bits") for _, module in model.named_modules())


def _weight_type(module: nn.Module) -> mx.Dtype:
    base: Any = getattr(module, "linear", None) or module.embedding
    dtype: mx.Dtype = (base.scales if hasattr(base, "scales") else base.weight).dtype
    # The scales of mxfp4, mxfp8 and nvfp4 are bytes; such layers compute and dequantize in bfloat16.
    return dtype if mx.issubdtype(dtype, mx.floating) else mx.bfloat16


def _refuse_quantized(model: nn.Module, what: str) -> None:
    if is_quantized(model):
        raise InvalidField(
            f"{what} needs whole weights, but the base model is quantized",
            details={"field": what.split()[0]},
            suggestion="Use fine_tune_type lora or dora without train_also, or a base that is not quantized.",
        )


def _last_blocks(model: nn.Module, count: int) -> list[nn.Module]:
    """The last `count` blocks; all of them when it is negative."""
    blocks = list(model.layers)
    return blocks if count < 0 else blocks[max(0, len(blocks) - count) :]


def _check_dora(model: nn.Module, keys: tuple[str, ...] | None) -> None:
    """mlx-lm has no DoRA for experts, for quantized embeddings, nor for 3, 5 and 6 bits."""
    named = [pair for block in model.layers for pair in block.named_modules()]
    chosen = [(n, m) for n, m in [*named, *model.named_modules()] if n in keys] if keys else named
    for name, module in chosen:
        bits = getattr(module, "bits", None)
        if (
            (hasattr(module, "num_experts") and "weight" in module)
            or isinstance(module, nn.QuantizedEmbedding)
            or (isinstance(module, nn.QuantizedLinear) and 32 % module.bits)
            or hasattr(module, "to_lora")
        ):
            raise InvalidField(
                f"fine_tune_type dora is not possible for {name}"
                + (f" at {bits} bits" if bits else f" ({type(module).__name__})"),
                details={"field": "fine_tune_type", "module": name},
                suggestion="Use fine_tune_type lora, or name other modules in lora_keys.",
            )


def _check_keys(model: nn.Module, keys: tuple[str, ...]) -> None:
    modules = [pair for block in model.layers for pair in block.named_modules()] + list(model.named_modules())
    known = {name for name, module in modules if _takes_factors(module)}
    for key in keys:
        if key not in known:
            raise InvalidField(
                f"lora_keys: no linear module or embedding is called {key!r}",
                details={"field": "lora_keys", "value": key},
                suggestion="A block of this model has: " + ", ".join(sorted(_linear_names(model))) + ".",
            )


def _takes_factors(module: nn.Module) -> bool:
    kinds = (nn.Linear, nn.QuantizedLinear, nn.Embedding, nn.QuantizedEmbedding)
    return isinstance(module, (*kinds, SwitchLinear, QuantizedSwitchLinear)) or hasattr(module, "to_lora")


def _linear_names(model: nn.Module) -> set[str]:
    return {
        n
        for b in model.layers
        for n, m in b.named_modules()
        if isinstance(m, (nn.Linear, nn.QuantizedLinear))
    }


def _unfreeze_whole(model: nn.Module, choice: str) -> None:
    """Unfreeze the embeddings, the norms or the output layer; a tied output layer is the embedding."""
    wanted = _whole_modules(model, choice)
    if any(hasattr(module, "bits") for module in wanted):
        _refuse_quantized(model, f"train_also {choice}")
    for module in wanted:
        module.unfreeze(recurse=False)


def _whole_modules(model: nn.Module, choice: str) -> list[nn.Module]:
    modules = dict(model.named_modules())
    if choice == "norms":
        return [m for m in modules.values() if "Norm" in type(m).__name__]
    # A layer with factors keeps the whole one inside it, as `linear`.
    heads = [m for name, m in modules.items() if name.rsplit(".", 1)[-1] == "lm_head"]
    output: list[nn.Module] = [m.linear if "linear" in m else m for m in heads]
    embeddings: list[nn.Module] = [
        m for m in modules.values() if isinstance(m, (nn.Embedding, nn.QuantizedEmbedding))
    ]
    return (output or embeddings) if choice == "output" else embeddings
