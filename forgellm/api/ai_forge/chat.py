"""AI Forge's part of OpenAI's API, with the keys that it documents and no more.

On the shared port OpenAI's own routes answer, which have them all.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from forgellm.api.events import EVENTS
from forgellm.api.openai import chat, models
from forgellm.api.openai.chat_fields import Chat
from forgellm.api.routes import Quotation, Reply, Route, Stream
from forgellm.services.model_host import ModelHost


class Message(BaseModel):
    role: Literal["assistant"]
    content: str | None


class Choice(BaseModel):
    index: int
    message: Message
    finish_reason: str


class Completion(Quotation):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    owned_by: Literal["ai_forge"] = "ai_forge"
    created: int


class Models(Reply):
    data: list[Model]


def completions(host: ModelHost, body: Chat) -> Completion | Stream:
    """An answer to a conversation, at once or as server-sent events."""
    answer = chat.chat_completions(host, body)
    return answer if isinstance(answer, Stream) else Completion.model_validate(answer.model_dump())


def index(host: ModelHost) -> Models:
    """Every model that `model` takes."""
    return Models(data=[Model(id=m.id, created=m.created) for m in models.models(host).data])


MODEL_ROUTES = (
    Route("POST", "/v1/chat/completions", completions, media_type=EVENTS),
    Route("GET", "/v1/models", index),
)
