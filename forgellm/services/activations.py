"""What one token leaves behind in the blocks of a model until the gradient has passed it.

The widths are read from config.json, or from the headers of the weights where it leaves them to the defaults
of mlx-lm. The factors were fitted to measured peaks; docs/decisions has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from forgellm.domain.errors import InvalidModel
from forgellm.domain.spec import TrainingSpec
from forgellm.services.learnable import Learnable, Module, modules_of
from forgellm.storage.models import ModelFolder

_PER_HIDDEN, _PER_INTERMEDIATE, _PER_SCORE, _PER_FACTOR = 4.5, 6.0, 1.0, 1.0
"""Numbers that one token leaves behind in one block until the gradient has passed it."""

_EXPERT_HIDDEN, _EXPERT_INTERMEDIATE = 2.2, 5.0
"""Such numbers of each expert that it goes through: what is gathered for it, and inside of it."""

_EXPERT_CLIPPED, _CLIPPED = 8.0, ("gpt_oss",)
"""Where an expert's gate is clipped, which keeps more of its inside."""

_KEPT_HIDDEN, _KEPT_INTERMEDIATE, _BLOCKS_WHOLE = 2.2, 1.1, 3.0
"""With grad_checkpoint: what every block keeps, and the blocks that are whole beside (their scores once, as
float32)."""

_PASSING, _PASSING_WHOLE, _PASSING_FACTORS = 1.1, 3.5, 4.5
"""Such blocks at once without a gradient, and the bytes that a half-precision number inside of one takes
there: products have float32 copies beside it, and factors are float32."""

_PASSING_EXPERT_HIDDEN, _PASSING_EXPERT_INTERMEDIATE, _PASSING_CLIPPED = 4.2, 2.4, 4.7
"""Of experts there: what goes into all of them and what comes out lies beside each other, and less of their
inside than a gradient needs."""

_HIDDEN = ("hidden_size", "n_embd", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_dim")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts")
_SHARED = ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts")
_SHARED_WIDTH = ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size")
_INWARD = ("gate_proj", "up_proj", "w1", "fc1", "c_fc", "dense_h_to_4h")
"""Layers of the feed-forward part that lead into it."""


@dataclass(frozen=True)
class Widths:
    """Numbers per token: of the hidden state, the feed-forward part that all tokens pass, and one expert;
    `active` experts have each token, and `heads` attend."""

    hidden: int
    heads: int
    intermediate: int
    expert: int
    active: int


def activations(
    model: ModelFolder, spec: TrainingSpec, learns: Learnable, *, shapes: Sequence[tuple[int, int]]
) -> float:
    """Bytes of a step on the largest of batches of `shapes`: rows, tokens of each. Raises InvalidModel."""
    widths = widths_of(model)
    return max(
        rows * length * _of_a_token(model.config, spec, learns, widths, length=length)
        for rows, length in shapes
    )


def _of_a_token(
    config: Mapping[str, object], spec: TrainingSpec, learns: Learnable, widths: Widths, *, length: int
) -> float:
    """Bytes of a step for each of its tokens, in rows of `length`."""
    clipped = config.get("model_type") in _CLIPPED
    experts = (_EXPERT_HIDDEN, _EXPERT_CLIPPED if clipped else _EXPERT_INTERMEDIATE)
    inside = _inside(spec, learns, widths, experts=experts) * _activation_bytes(config, spec)
    scores = _PER_SCORE * widths.heads * length
    everything = (inside + scores * number_bytes(config)) * (learns.blocks + 1)
    if not spec.grad_checkpoint:
        return everything
    passed = widths.intermediate + widths.active * widths.expert
    kept = (_KEPT_HIDDEN * widths.hidden + _KEPT_INTERMEDIATE * passed) * _activation_bytes(config, spec)
    # A model of very few blocks has no three of them.
    return min(_BLOCKS_WHOLE * inside + 4 * scores + kept * learns.blocks, everything)


def passing(model: ModelFolder, spec: TrainingSpec, learns: Learnable, *, length: int) -> float:
    """Bytes of one token in the block that it passes, where no gradient follows. Raises InvalidModel."""
    widths = widths_of(model)
    size = number_bytes(model.config)
    half = _PASSING_WHOLE if spec.fine_tune_type == "full" else _PASSING_FACTORS
    per_number = half if size == 2 else size
    clipped = model.config.get("model_type") in _CLIPPED
    experts = (_PASSING_EXPERT_HIDDEN, _PASSING_CLIPPED if clipped else _PASSING_EXPERT_INTERMEDIATE)
    inside = _inside(spec, learns, widths, experts=experts) * per_number
    return _PASSING * (inside + _PER_SCORE * widths.heads * length * size)


def number_bytes(config: Mapping[str, object]) -> int:
    """Bytes of one of the model's own numbers."""
    dtype = config.get("dtype") or config.get("torch_dtype")
    return 4 if dtype == "float32" else 2


def widths_of(model: ModelFolder) -> Widths:
    """Raises InvalidModel where neither the configuration nor the headers say one of them."""
    config = model.config

    @cache
    def stored() -> list[Module]:
        # Most configurations say all, and headers of many experts take a while to read.
        return modules_of(model)

    hidden = _number(config, *_HIDDEN) or _columns(stored(), "embed_tokens", "wte")
    heads = _number(config, *_HEADS) or _heads(config, stored())
    if hidden is None:
        raise _not_said("wide the hidden state is", "hidden_size")
    if heads is None:
        raise _not_said("many attention heads there are", "num_attention_heads")
    dense = _number(config, *_INTERMEDIATE) or _rows(stored(), *_INWARD)
    if dense is None and "n_embd" in config:
        dense = 4 * hidden
    expert = _number(config, "moe_intermediate_size") or dense
    if expert is None:
        raise _not_said("wide the feed-forward part is", "intermediate_size")
    if _number(config, *_EXPERTS) is None:
        return Widths(hidden, heads, expert if dense is None else dense, 0, 0)
    shared = _number(config, *_SHARED_WIDTH) or expert * (_number(config, *_SHARED) or 0)
    return Widths(hidden, heads, shared, expert, _number(config, *_ACTIVE) or 1)


def _inside(spec: TrainingSpec, learns: Learnable, widths: Widths, *, experts: tuple[float, float]) -> float:
    """Numbers that one token leaves behind in one block, without those of its attention; `experts` are the
    factors of what goes through an expert and of its inside."""
    per_hidden, per_inside = experts
    return (
        _PER_HIDDEN * widths.hidden
        + _PER_INTERMEDIATE * widths.intermediate
        + widths.active * (per_hidden * widths.hidden + per_inside * widths.expert)
        + _PER_FACTOR * spec.lora_rank * (learns.matrices / max(learns.blocks, 1))
    )


def _activation_bytes(config: Mapping[str, object], spec: TrainingSpec) -> int:
    """Half-precision models keep a part in float32, because the factors are."""
    if number_bytes(config) == 4:
        return 4
    return 2 if spec.fine_tune_type == "full" else 3


def _number(config: Mapping[str, object], *names: str) -> int | None:
    inner = config.get("text_config")
    for place in (config, inner if isinstance(inner, dict) else {}):
        for name in names:
            value = place.get(name)
            if type(value) is int and value > 0:
                return value
    return None


def _heads(config: Mapping[str, object], modules: Sequence[Module]) -> int | None:
    """By the rows of the queries; those of a normed head are as many as its norm has."""
    size = _number(config, "head_dim") or _columns(modules, "q_norm")
    rows = _rows(modules, "q_proj")
    return None if size is None or rows is None else rows // size


def _rows(modules: Sequence[Module], *names: str) -> int | None:
    return max((m.shape[-2] for m in modules if m.is_matrix and _is_called(m, names)), default=None)


def _columns(modules: Sequence[Module], *names: str) -> int | None:
    return max((m.shape[-1] for m in modules if m.shape and _is_called(m, names)), default=None)


def _is_called(module: Module, names: Sequence[str]) -> bool:
    return module.name.rpartition(".")[2] in names


def _not_said(what: str, field: str) -> InvalidModel:
    return InvalidModel(
        f"config.json has no {field}, and the weights do not say how {what}",
        details={"field": field},
        suggestion="It can be trained; watch the memory of its first steps.",
    )
