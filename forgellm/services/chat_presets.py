"""Chat presets: a system prompt and parameters under a name; those of the product and a person's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forgellm.domain.errors import InvalidField, PresetNotFound, nearest
from forgellm.services.parts import Parts
from forgellm.storage.presets import Preset, read_presets, remove_preset, write_preset

KIND = "chat"


@dataclass(frozen=True)
class ChatPreset:
    """`values` are settings of a chat; all others keep their defaults."""

    name: str
    description: str
    values: Mapping[str, object]
    built_in: bool


BUILT_IN = (
    ChatPreset(
        "Balanced", "As the model comes: varied, but on the subject.", {"parameters": {}}, built_in=True
    ),
    ChatPreset(
        "Exact",
        "The likeliest words, the same each time: for facts, and for comparing two models.",
        {"parameters": {"temperature": 0.0}},
        built_in=True,
    ),
    ChatPreset(
        "Inventive",
        "Bolder words for stories and ideas; the least likely ones are left out.",
        {"parameters": {"temperature": 1.0, "min_p": 0.05, "repetition_penalty": 1.05}},
        built_in=True,
    ),
)


def presets(parts: Parts) -> list[ChatPreset]:
    """Those of the product first, then a person's own by name."""
    own = read_presets(parts.workspace, KIND)
    return [*BUILT_IN, *(ChatPreset(p.name, p.description, p.values, built_in=False) for p in own)]


def save(parts: Parts, name: str, *, description: str, values: Mapping[str, object]) -> ChatPreset:
    """Keep settings under a name, in place of what has it. Raises InvalidField, DiskFull, ReadOnly."""
    _refuse_built_in(name)
    write_preset(parts.workspace, KIND, Preset(name, description, values))
    return ChatPreset(name, description, values, built_in=False)


def remove(parts: Parts, name: str) -> None:
    """Forget a person's own preset. Raises PresetNotFound, InvalidField for one of the product's."""
    _refuse_built_in(name)
    if not remove_preset(parts.workspace, KIND, name):
        near = nearest(name, [preset.name for preset in presets(parts)])
        raise PresetNotFound(
            f"there is no chat preset {name!r:.120}",
            details={"preset": name[:100], "nearest": near},
            suggestion=f"Did you mean {near}?" if near else "GET /api/chats/presets lists them.",
        )


def _refuse_built_in(name: str) -> None:
    if any(preset.name == name for preset in BUILT_IN):
        raise InvalidField(
            f"{name} comes with ForgeLLM and stays as it is",
            details={"field": "name"},
            suggestion="Keep your own under another name.",
        )
