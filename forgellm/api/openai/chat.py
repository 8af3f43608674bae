"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel

from forgellm.api.answers import streamed, whole
from forgellm.api.events import EVENTS, LAST, event
from forgellm.api.http import telling
from forgellm.api.openai.chat_fields import Chat, chat_request
from forgellm.api.openai.fields import wants_usage
from forgellm.api.openai.replies import Head, Usage, calls_of, chat_logprobs, new_head, usage_of
from forgellm.api.routes import Quotation, Route, Stream
from forgellm.domain.chat import Answer, FinishReason, GenerationChunk
from forgellm.domain.errors import ForgeError
from forgellm.services.model_host import ModelHost


class ChatMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: str | None
    tool_calls: list[dict[str, Any]] | None
    refusal: None = None


class ChatChoice(BaseModel):
    index: int = 0
    message: ChatMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class ChatCompletion(Quotation):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


def chat_completions(host: ModelHost, body: Chat) -> ChatCompletion | Stream:
    """An answer to a conversation, at once or as server-sent events."""
    named = host.ask_by_name(body.model, chat_request(body))
    head = new_head("chatcmpl", named.name, now=host.parts.clock())
    logprobs = bool(body.logprobs)
    if body.stream:
        writing = _Writing(head, logprobs=logprobs, usage=wants_usage(body))
        return streamed(named.answer, writing.events(named.answer, tell=telling(host.parts)))
    found = whole(named.answer)
    calls = calls_of(found.finish.tool_calls)
    message = ChatMessage(
        content=found.text if found.text or not calls else None,
        reasoning_content=found.thinking or None,
        tool_calls=calls or None,
    )
    choice = ChatChoice(
        message=message,
        logprobs=chat_logprobs(found.tokens) if logprobs else None,
        finish_reason=found.finish.reason,
    )
    return ChatCompletion(
        id=head.id,
        created=head.created,
        model=head.model,
        choices=[choice],
        usage=usage_of(found.finish),
    )


class _Writing:
    """The events of one answer."""

    def __init__(self, head: Head, *, logprobs: bool, usage: bool) -> None:
        self._head = head
        self._logprobs = logprobs
        self._usage = usage

    def events(self, answer: Answer, *, tell: Callable[[ForgeError], dict[str, object]]) -> Iterator[bytes]:
        yield self._event({"role": "assistant", "content": ""})
        try:
            for piece in answer:
                yield from self._piece(piece)
        except ForgeError as error:
            yield event(tell(error))
            return
        yield LAST

    def _piece(self, piece: GenerationChunk) -> Iterator[bytes]:
        delta: dict[str, object] = {}
        if piece.thinking:
            delta["reasoning_content"] = piece.thinking
        if piece.text:
            delta["content"] = piece.text
        if delta or piece.tokens:
            yield self._event(delta, logprobs=chat_logprobs(piece.tokens) if self._logprobs else None)
        if piece.finish is None:
            return
        if piece.finish.tool_calls:
            calls = [{"index": n, **call} for n, call in enumerate(calls_of(piece.finish.tool_calls))]
            yield self._event({"tool_calls": calls})
        yield self._event({}, finish_reason=piece.finish.reason)
        if self._usage:
            yield event({**self._common(), "choices": [], "usage": usage_of(piece.finish).model_dump()})

    def _event(
        self,
        delta: dict[str, object],
        *,
        logprobs: dict[str, object] | None = None,
        finish_reason: FinishReason | None = None,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        rest = {"usage": None} if self._usage else {}
        return event({**self._common(), "choices": [choice], **rest})

    def _common(self) -> dict[str, object]:
        head = self._head
        return {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }


ROUTES = (Route("POST", "/v1/chat/completions", chat_completions, media_type=EVENTS),)
