"""How a chat asks: its system prompt, parameters and models, and presets of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from forgellm.api.native.planning import preset_name
from forgellm.api.routes import Answer, Body, Quotation, Route
from forgellm.forge import Forge
from forgellm.services import chat_presets as service
from forgellm.services.chat_presets import ChatPreset

_LARGEST = 2**53
Name = Annotated[str, Field(max_length=1000)]


class Parameters(Body):
    """Those of `/api/model/generate`; what is null keeps the default there."""

    max_tokens: int | None = Field(None, ge=1, le=_LARGEST)
    temperature: float | None = Field(None, ge=0, le=10)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=_LARGEST)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    presence_penalty: float | None = Field(None, ge=-10, le=10)
    frequency_penalty: float | None = Field(None, ge=-10, le=10)
    seed: int | None = Field(None, ge=0, le=_LARGEST)
    stop: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field([], max_length=16)


class Answerer(Body):
    """Who answers, as `/api/model/load` takes it."""

    model_name: Name | None = None
    adapter_path: Name | None = None
    training_id: Name | None = None
    iteration: int | None = Field(None, ge=0, le=_LARGEST)


class ChatSettings(Body):
    system_prompt: str = Field("", max_length=100_000)
    mode: Literal["chat", "complete"] = Field(
        "chat", description="complete goes on with each text as it stands"
    )
    parameters: Parameters = Field(default_factory=Parameters)
    beside: Literal["none", "base", "other"] = Field(
        "none", description="who else answers: the base without the adapter, or `other`"
    )
    other: Answerer | None = None
    model: Answerer | None = Field(None, description="who is to answer; whoever is resident, if null")


class PresetItem(BaseModel):
    name: str
    description: str
    values: ChatSettings
    built_in: bool


class ChatPresets(Answer, Quotation):
    presets: list[PresetItem]


class ChatPresetBody(Body):
    description: str = Field("", max_length=500)
    values: ChatSettings


class ChatPresetKept(Answer, Quotation):
    preset: PresetItem


class ChatPresetGone(Answer):
    message: str


def read_settings(values: Mapping[str, object]) -> ChatSettings:
    """What a file has; the defaults where somebody else wrote into it."""
    try:
        return ChatSettings.model_validate(values)
    except ValidationError:
        return ChatSettings()


def presets(forge: Forge) -> ChatPresets:
    """Named settings of chats: those that come with ForgeLLM, and one's own."""
    return ChatPresets(presets=[_item(preset) for preset in service.presets(forge)])


def keep_preset(forge: Forge, name: str, body: ChatPresetBody) -> ChatPresetKept:
    """Keep settings under a name, in place of those that had it."""
    values = body.values.model_dump(exclude_defaults=True)
    return ChatPresetKept(
        preset=_item(service.save(forge, preset_name(name), description=body.description, values=values))
    )


def forget_preset(forge: Forge, name: str) -> ChatPresetGone:
    """Delete one's own preset."""
    service.remove(forge, preset_name(name))
    return ChatPresetGone(message=f"Preset {name} is gone")


def _item(preset: ChatPreset) -> PresetItem:
    return PresetItem(
        name=preset.name,
        description=preset.description,
        values=read_settings(preset.values),
        built_in=preset.built_in,
    )


ROUTES = (
    Route("GET", "/api/chats/presets", presets),
    Route("PUT", "/api/chats/presets/<name>", keep_preset),
    Route("DELETE", "/api/chats/presets/<name>", forget_preset),
)
