"""POST /v1/completions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from forgellm.api.answers import streamed, whole
from forgellm.api.events import EVENTS, LAST, event
from forgellm.api.http import telling
from forgellm.api.openai.fields import (
    Common,
    check_stream_options,
    check_supported,
    sampling_of,
    stops,
    wants_usage,
)
from forgellm.api.openai.replies import Head, Usage, completion_logprobs, new_head, usage_of
from forgellm.api.routes import Quotation, Route, Stream
from forgellm.domain.chat import Answer, FinishReason, GenerationChunk, GenerationRequest
from forgellm.domain.errors import ForgeError, InvalidField
from forgellm.services.model_host import ModelHost

# What OpenAI documents.
_MAX_TOKENS = 16


class Completion(Common):
    prompt: str | list[str] = Field(description="one text to go on with")
    best_of: int | None = Field(None, description="1")
    echo: bool | None = Field(None, description="false")
    suffix: str | None = Field(None, description="not supported")
    logprobs: int | None = Field(None, ge=0, le=20)


class TextChoice(BaseModel):
    index: int = 0
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class TextCompletion(Quotation):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


def completions(host: ModelHost, body: Completion) -> TextCompletion | Stream:
    """A text that goes on, at once or as server-sent events."""
    named = host.ask_by_name(body.model, _request(body))
    head = new_head("cmpl", named.name, now=host.parts.clock())
    logprobs = body.logprobs is not None
    if body.stream:
        writing = _Writing(head, logprobs=logprobs, usage=wants_usage(body))
        return streamed(named.answer, writing.events(named.answer, tell=telling(host.parts)))
    found = whole(named.answer)
    choice = TextChoice(
        text=found.thinking + found.text,
        logprobs=completion_logprobs(found.tokens, offset=0) if logprobs else None,
        finish_reason=found.finish.reason,
    )
    return TextCompletion(
        id=head.id, created=head.created, model=head.model, choices=[choice], usage=usage_of(found.finish)
    )


def _request(body: Completion) -> GenerationRequest:
    check_supported(body)
    check_stream_options(body)
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if len(prompts) != 1:
        raise InvalidField(
            f"{len(prompts)} prompts were sent",
            details={"field": "prompt"},
            suggestion="Send one at a time; several requests are answered together.",
        )
    return GenerationRequest(
        prompt=prompts[0],
        sampling=sampling_of(body, max_tokens=body.max_tokens or _MAX_TOKENS),
        stop=stops(body),
        logprobs=body.logprobs,
        whole=not body.stream,
    )


class _Writing:
    """The events of one answer. `_told` characters are out already."""

    def __init__(self, head: Head, *, logprobs: bool, usage: bool) -> None:
        self._head = head
        self._logprobs = logprobs
        self._usage = usage
        self._told = 0

    def events(self, answer: Answer, *, tell: Callable[[ForgeError], dict[str, object]]) -> Iterator[bytes]:
        try:
            for piece in answer:
                yield from self._piece(piece)
        except ForgeError as error:
            yield event(tell(error))
            return
        yield LAST

    def _piece(self, piece: GenerationChunk) -> Iterator[bytes]:
        text = piece.thinking + piece.text
        finish = piece.finish
        if text or piece.tokens or finish:
            logprobs = completion_logprobs(piece.tokens, offset=self._told) if self._logprobs else None
            self._told += sum(len(token.text) for token in piece.tokens)
            choice = {
                "index": 0,
                "text": text,
                "logprobs": logprobs,
                "finish_reason": finish.reason if finish else None,
            }
            rest = {"usage": None} if self._usage else {}
            yield event({**self._common(), "choices": [choice], **rest})
        if finish is not None and self._usage:
            yield event({**self._common(), "choices": [], "usage": usage_of(finish).model_dump()})

    def _common(self) -> dict[str, object]:
        head = self._head
        return {"id": head.id, "object": "text_completion", "created": head.created, "model": head.model}


ROUTES = (Route("POST", "/v1/completions", completions, media_type=EVENTS),)
