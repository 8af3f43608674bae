"""Which modules of a model take factors, by names and shapes in the headers of its weights alone.

Where a model is a mixture of experts, mlx-lm gives modules other names than files have: what is not found
there may still be a module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from forgellm.services.learnable import Module
from forgellm.storage.models import ModelFolder

_IN_BLOCK = re.compile(r"(?:^|.*\.)(?:layers|h|blocks)\.\d+\.(.+)")
_ONE_EXPERT = re.compile(r"(?:^|\.)experts\.\d+\.")
_EXPERTS = re.compile(r"(?:^|\.)(?:switch_mlp|experts)(?:\.|$)")


def names_in_blocks(modules: Iterable[Module]) -> list[str]:
    """What `lora_keys` may name in the blocks, in order of the alphabet. A single expert is no module."""
    places = (_IN_BLOCK.fullmatch(module.name) for module in modules if module.is_matrix)
    return sorted({place[1] for place in places if place and not _ONE_EXPERT.search(place[1])})


def unknown_key(modules: Sequence[Module], keys: Iterable[str]) -> str | None:
    """The first key that no matrix has, in a block or outside; None where blocks have nothing to compare."""
    inside = set(names_in_blocks(modules))
    # Before the name of a module outside the blocks, files and loaded models may have other words.
    outside = {m.name.rpartition(".")[2] for m in modules if m.is_matrix and not _IN_BLOCK.fullmatch(m.name)}
    for key in keys if inside else ():
        place = _IN_BLOCK.fullmatch(key)
        found = place[1] in inside if place else key in inside or key.rpartition(".")[2] in outside
        if not found:
            return key
    return None


def is_mixture(model: ModelFolder) -> bool:
    """Whether its configuration speaks of experts."""
    inner = model.config.get("text_config")
    settings = {**(inner if isinstance(inner, dict) else {}), **model.config}
    return any("expert" in name and type(value) is int and value > 1 for name, value in settings.items())


def stacked(modules: Iterable[Module], keys: Sequence[str] | None) -> str | None:
    """A module that has factors and a matrix for each of several experts or heads, by its name in a block."""
    for module in modules:
        place = _IN_BLOCK.fullmatch(module.name)
        if place is None or (keys and place[1] not in keys):
            continue
        # The kernels of a convolution have three dimensions, too, and take no factors.
        if _ONE_EXPERT.search(place[1]) or (len(module.shape) == 3 and "conv" not in place[1]):
            return place[1]
    return next((key for key in keys or () if _EXPERTS.search(key)), None)
