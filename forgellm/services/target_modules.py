"""The modules of a model by their last names, as other systems call them: `q_proj` for `self_attn.q_proj`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from forgellm.domain.errors import InvalidField, nearest
from forgellm.services.learnable import modules_of
from forgellm.services.parts import Parts
from forgellm.storage.models import find_model

_COUNTERPARTS: Mapping[str, tuple[str, ...]] = {
    "c_attn": ("q_proj", "k_proj", "v_proj"),
    "query_key_value": ("q_proj", "k_proj", "v_proj"),
    "c_proj": ("o_proj", "down_proj"),
    "c_fc": ("gate_proj", "up_proj"),
    "dense_h_to_4h": ("gate_proj", "up_proj"),
    "dense_4h_to_h": ("down_proj",),
}
"""What does in models of the llama kind what a module of GPT-2 or GPT-NeoX does there."""

_IN_BLOCK = re.compile(r".*\.(?:layers|h|blocks)\.\d+\.(.+)")


def keys_of(parts: Parts, model_name: str, wanted: Sequence[str]) -> list[str] | None:
    """What `lora_keys` takes for these modules; None, which is all of them, for `all-linear`.

    Raises InvalidField naming the modules there are, ModelNotFound, InvalidModel.
    """
    if list(wanted) == ["all-linear"]:
        return None
    modules = modules_of(find_model(parts.workspace, parts.hub_cache, model_name))
    found = (_IN_BLOCK.fullmatch(module.name) for module in modules if module.is_matrix)
    known = sorted({match[1] for match in found if match is not None})
    last = sorted({_last(key) for key in known})
    meant = [name for asked in wanted for name in _meant(asked, {*known, *last})]
    unknown = next((name for name in meant if name not in known and name not in last), None)
    if unknown is not None:
        raise _unknown(model_name, unknown, last)
    return list(dict.fromkeys(key for name in meant for key in known if name in (key, _last(key))))


def _meant(name: str, known: Collection[str]) -> tuple[str, ...]:
    others = _COUNTERPARTS.get(name, ())
    return others if others and name not in known and all(o in known for o in others) else (name,)


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _unknown(model_name: str, name: str, known: list[str]) -> InvalidField:
    near = nearest(name, known)
    return InvalidField(
        f"target_modules: {model_name} has no module {name!r:.80}",
        details={"field": "target_modules", "nearest": near, "known": known},
        suggestion=(f"Did you mean {near}? " if near else "") + f"It has: {', '.join(known)}.",
    )
