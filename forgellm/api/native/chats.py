"""Chats: listing and searching, their trees of messages, the trash, taking them elsewhere, and examples."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from forgellm.api.native.chat_settings import ChatSettings, Parameters, read_settings
from forgellm.api.routes import Answer, Body, Query, Quotation, Route
from forgellm.domain.chat import FinishReason, Message
from forgellm.forge import Forge
from forgellm.services import chats as service
from forgellm.services.examples import FILE, save_example
from forgellm.storage.chats import (
    ChatMessage,
    Head,
    find_head,
    list_heads,
    read_messages,
    restore_chat,
    trash_chat,
)

_LONGEST = 400_000
Text = Annotated[str, Field(max_length=_LONGEST)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, Field(max_length=200)]


class Facts(Body):
    """How an answer came about. What is not known is null."""

    model_name: str | None = Field(None, max_length=1000)
    adapter_path: str | None = Field(None, max_length=1000)
    training_id: str | None = Field(None, max_length=200)
    iteration: int | None = Field(None, ge=0)
    use_adapter: bool | None = None
    parameters: Parameters | None = None
    system_prompt: str | None = Field(None, max_length=_LONGEST)
    finish_reason: FinishReason | None = None
    prompt_tokens: int | None = Field(None, ge=0)
    cached_tokens: int | None = Field(None, ge=0)
    tokens_generated: int | None = Field(None, ge=0)
    context_length: int | None = Field(None, ge=0)
    time_to_first_token_seconds: float | None = Field(None, ge=0)
    generation_time_seconds: float | None = Field(None, ge=0)
    tokens_per_second: float | None = Field(None, ge=0)
    edited: bool = Field(False, description="a person wrote it")


class MessageBody(Body):
    id: Id = Field(description="chosen by who sends it; the same id again is the same message, gone on with")
    parent: Id | None = Field(None, description="the message before it, which is sent before it")
    role: Literal["user", "assistant"]
    content: Text
    thinking: Text = ""
    beside: Id | None = Field(None, description="the answer that this one was given together with")
    created: str = Field("", max_length=40, description="now, if left out")
    facts: Facts = Field(default_factory=Facts)


class MessageItem(BaseModel):
    id: str
    parent: str | None
    role: Literal["user", "assistant"]
    content: str
    thinking: str
    beside: str | None
    created: str
    facts: Facts


class ChatItem(BaseModel):
    id: str
    title: str
    created: str
    updated: str
    messages: int = Field(description="on all branches")
    excerpt: str = Field("", description="where the text has what was sought")


class Chat(BaseModel):
    id: str
    title: str
    created: str
    updated: str
    settings: ChatSettings
    leaf: str | None = Field(description="the last message of the branch that is shown")
    messages: list[MessageItem]


class ChatList(Answer, Quotation):
    chats: list[ChatItem]
    more: bool


class ChatAnswer(Answer, Quotation):
    chat: Chat


class ChatHeadAnswer(Answer, Quotation):
    chat: ChatItem


class Exported(Answer, Quotation):
    format: Literal["forgellm chats 1"] = "forgellm chats 1"
    chats: list[Chat]


class ChatGone(Answer):
    message: str


class Sought(Query):
    q: str = Field("", max_length=200, description="words that title or texts must have")
    limit: int = Field(200, ge=1, le=1000)


class NewChat(Body):
    title: Title = ""
    settings: ChatSettings = Field(default_factory=ChatSettings)
    messages: list[MessageBody] = Field([], max_length=service.MOST_MESSAGES)
    leaf: Id | None = Field(None, description="the last of them, if left out")


class ChangedChat(Body):
    title: Title | None = None
    settings: ChatSettings | None = None
    leaf: Id | None = Field(None, description="show the branch that ends with this message")


class NewMessages(Body):
    messages: list[MessageBody] = Field(min_length=1, max_length=service.MOST_MESSAGES)
    leaf: Id | None = Field(None, description="the last of them, if left out")


class ExampleTurn(Body):
    role: Literal["system", "user", "assistant"]
    content: Text


class ExampleBody(Body):
    messages: list[ExampleTurn] = Field(min_length=2, max_length=1000)


class ExampleSaved(Answer):
    file: str
    examples: int = Field(description="in that file")


def index(forge: Forge, query: Sought) -> ChatList:
    """The chats, the one that was written to last first."""
    found = list(islice(service.search(forge, query.q), query.limit + 1))
    shown = [_item(one.head, one.excerpt) for one in found[: query.limit]]
    return ChatList(chats=shown, more=len(found) > query.limit)


def create(forge: Forge, body: NewChat) -> ChatHeadAnswer:
    """Begin a chat, or take one in that was exported."""
    messages = [_message(message) for message in body.messages]
    settings = body.settings.model_dump(exclude_defaults=True)
    head = service.start(forge, title=body.title, settings=settings, messages=messages, leaf=body.leaf)
    return ChatHeadAnswer(chat=_item(head))


def show(forge: Forge, chat_id: str) -> ChatAnswer:
    """A chat with all its branches."""
    return ChatAnswer(chat=_chat(forge, find_head(forge.workspace, chat_id)))


def change(forge: Forge, chat_id: str, body: ChangedChat) -> ChatHeadAnswer:
    """Another title, other settings, another branch; what is left out stays."""
    settings = None if body.settings is None else body.settings.model_dump(exclude_defaults=True)
    return ChatHeadAnswer(
        chat=_item(service.change(forge, chat_id, service.Change(body.title, settings, body.leaf)))
    )


def add(forge: Forge, chat_id: str, body: NewMessages) -> ChatHeadAnswer:
    """Add messages; the last of them is shown from now on."""
    messages = [_message(message) for message in body.messages]
    return ChatHeadAnswer(chat=_item(service.add(forge, chat_id, messages, leaf=body.leaf)))


def delete(forge: Forge, chat_id: str) -> ChatGone:
    """Put a chat into the trash."""
    trash_chat(forge.workspace, chat_id)
    return ChatGone(message=f"Chat {chat_id} is in the trash")


def restore(forge: Forge, chat_id: str) -> ChatHeadAnswer:
    """Bring a chat back from the trash."""
    return ChatHeadAnswer(chat=_item(restore_chat(forge.workspace, chat_id)))


def export(forge: Forge) -> Exported:
    """Every chat with everything in it; POST /api/chats takes each of them in again."""
    return Exported(chats=[_chat(forge, head) for head in list_heads(forge.workspace)])


def add_example(forge: Forge, name: str, body: ExampleBody) -> ExampleSaved:
    """Save an exchange as an example to train on; the dataset is made where it is missing."""
    count = save_example(forge, name, [Message(turn.role, turn.content) for turn in body.messages])
    return ExampleSaved(file=f"dataset/{name}/{FILE}", examples=count)


def _item(head: Head, excerpt: str = "") -> ChatItem:
    return ChatItem(
        id=head.id,
        title=head.title,
        created=head.created,
        updated=head.updated,
        messages=head.messages,
        excerpt=excerpt,
    )


def _chat(forge: Forge, head: Head) -> Chat:
    messages = read_messages(forge.workspace, head.id)
    known = {message.id for message in messages}
    return Chat(
        id=head.id,
        title=head.title,
        created=head.created,
        updated=head.updated,
        settings=read_settings(head.settings),
        leaf=head.leaf if head.leaf in known else next((m.id for m in reversed(messages)), None),
        messages=[
            MessageItem(
                id=message.id,
                parent=message.parent,
                role="user" if message.role == "user" else "assistant",
                content=message.content,
                thinking=message.thinking,
                beside=message.beside,
                created=message.created,
                facts=_facts(message.facts),
            )
            for message in messages
        ],
    )


def _message(body: MessageBody) -> ChatMessage:
    return ChatMessage(
        id=body.id,
        parent=body.parent,
        role=body.role,
        content=body.content,
        created=body.created,
        thinking=body.thinking,
        beside=body.beside,
        facts=body.facts.model_dump(exclude_defaults=True),
    )


def _facts(values: Mapping[str, object]) -> Facts:
    """What a file has; nothing where somebody else wrote into it."""
    try:
        return Facts.model_validate(values)
    except ValidationError:
        return Facts()


ROUTES = (
    Route("GET", "/api/chats", index),
    Route("POST", "/api/chats", create),
    Route("GET", "/api/chats/export", export),
    Route("GET", "/api/chats/<chat_id>", show),
    Route("PATCH", "/api/chats/<chat_id>", change),
    Route("DELETE", "/api/chats/<chat_id>", delete),
    Route("POST", "/api/chats/<chat_id>/messages", add),
    Route("POST", "/api/chats/<chat_id>/restore", restore),
    Route("POST", "/api/datasets/<name>/examples", add_example),
)
