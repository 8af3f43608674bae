"""/api/model/generate and /api/model/compare: asking the resident model, at once or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from forgellm.api.answers import Whole, put_together, streamed, whole
from forgellm.api.departure import leaving
from forgellm.api.events import EVENTS, event
from forgellm.api.http import telling
from forgellm.api.routes import Answer as Succeeded
from forgellm.api.routes import Body, Quotation, Route, Stream
from forgellm.domain.chat import (
    Answer,
    FinishReason,
    GenerationChunk,
    GenerationRequest,
    Message,
    Sampling,
    TokenProbability,
)
from forgellm.domain.errors import ForgeError, InvalidField
from forgellm.services.model_host import ModelHost

_LARGEST = 2**53


class Turn(Body):
    role: Literal["system", "user", "assistant"]
    content: str


class Question(Body):
    prompt: str = Field(description="the last message of the user, or the beginning of a text")
    history: list[Turn] = Field([], description="the turns before it")
    system_prompt: str | None = Field(None, description="instead of a system turn in `history`")
    max_tokens: int = Field(Sampling.max_tokens, ge=1, le=_LARGEST)
    temperature: float = Field(Sampling.temperature, ge=0, le=10, description="0 takes the likeliest token")
    top_p: float = Field(Sampling.top_p, gt=0, le=1)
    top_k: int = Field(Sampling.top_k, ge=0, le=_LARGEST, description="0 does nothing")
    min_p: float = Field(Sampling.min_p, ge=0, le=1)
    repetition_penalty: float = Field(Sampling.repetition_penalty, gt=0, le=10, description="1 does nothing")
    presence_penalty: float = Field(Sampling.presence_penalty, ge=-10, le=10)
    frequency_penalty: float = Field(Sampling.frequency_penalty, ge=-10, le=10)
    seed: int | None = Field(None, ge=0, le=_LARGEST, description="the same seed repeats the same text")
    stop: str | list[str] = Field([], description="texts that end the answer")
    logprobs: int | None = Field(None, ge=0, le=20, description="how many alternatives beside each token")
    is_base_model: bool = Field(False, description="go on with `prompt` as it stands: no chat template")
    answer_so_far: str = Field("", description="the beginning of the answer: `response` is the rest of it")


class Generate(Question):
    use_adapter: bool = Field(True, description="false asks the base without its adapter")
    streaming: bool = Field(False, description="server-sent events instead of one JSON object")


class Alternative(BaseModel):
    token: str
    logprob: float


class Token(Alternative):
    top: list[Alternative]


class Text(BaseModel):
    response: str
    thinking: str
    finish_reason: FinishReason
    tokens_generated: int
    prompt_tokens: int
    cached_tokens: int = Field(description="of the prompt, known from an earlier turn")
    generation_time_seconds: float
    time_to_first_token_seconds: float | None
    tokens_per_second: float | None = Field(description="from the first token on; null with fewer than two")
    logprobs: list[Token] | None


class Generated(Text, Succeeded, Quotation):
    pass


class Compared(Succeeded, Quotation):
    base: Text
    adapter: Text


def generate(host: ModelHost, body: Generate) -> Generated | Stream:
    """Ask the resident model, waiting for one that is being loaded."""
    answer = host.ask(_request(body, plain_base=not body.use_adapter, whole=not body.streaming))
    wanted = body.logprobs is not None
    if not body.streaming:
        return Generated(**_values(whole(answer), logprobs=wanted))
    return streamed(answer, _events(answer, logprobs=wanted, tell=telling(host.parts)))


def compare(host: ModelHost, body: Question) -> Compared:
    """The same question to the resident base alone and to the base with its adapter."""
    base, adapter = host.compare(_request(body, plain_base=False, whole=True))

    def cancel() -> None:
        base.cancel()
        adapter.cancel()

    wanted = body.logprobs is not None
    with leaving(cancel):
        try:
            # Both are computed from the start; the second one's pieces wait.
            texts = [_values(put_together(answer), logprobs=wanted) for answer in (base, adapter)]
        finally:
            cancel()
    return Compared(base=Text(**texts[0]), adapter=Text(**texts[1]))


def _events(
    answer: Answer, *, logprobs: bool, tell: Callable[[ForgeError], dict[str, object]]
) -> Iterator[bytes]:
    pieces: list[GenerationChunk] = []
    try:
        for piece in answer:
            pieces.append(piece)
            if piece.text or piece.thinking or piece.tokens:
                yield event(_piece(piece, logprobs=logprobs))
        last = Generated(**_values(put_together(pieces), logprobs=logprobs))
        yield event({"done": True, **last.model_dump()})
    except ForgeError as error:
        yield event(tell(error))


def _request(body: Question, *, plain_base: bool, whole: bool) -> GenerationRequest:
    """Raises InvalidField for a continuation that has turns, and for two system prompts."""
    messages = _messages(body)
    if body.is_base_model and (len(messages) > 1 or body.answer_so_far):
        raise InvalidField(
            "history, system_prompt and answer_so_far are of a chat; is_base_model asks for a continuation",
            details={"field": "is_base_model"},
            suggestion="Leave is_base_model out, or put everything into prompt.",
        )
    return GenerationRequest(
        messages=() if body.is_base_model else messages,
        begun=body.answer_so_far,
        prompt=body.prompt if body.is_base_model else None,
        sampling=_sampling(body),
        stop=tuple([body.stop] if isinstance(body.stop, str) else body.stop),
        logprobs=body.logprobs,
        plain_base=plain_base,
        whole=whole,
    )


def _messages(body: Question) -> tuple[Message, ...]:
    turns = [Message(turn.role, turn.content) for turn in body.history]
    if body.system_prompt is not None:
        if any(turn.role == "system" for turn in turns):
            raise InvalidField(
                "there is a system turn in history, and a system_prompt",
                details={"field": "system_prompt"},
                suggestion="Give one of them.",
            )
        turns.insert(0, Message("system", body.system_prompt))
    return (*turns, Message("user", body.prompt))


def _sampling(body: Question) -> Sampling:
    return Sampling(
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
    )


def _values(answer: Whole, *, logprobs: bool) -> dict[str, Any]:
    """What `Text` has."""
    finish = answer.finish
    return {
        "response": answer.text,
        "thinking": answer.thinking,
        "finish_reason": finish.reason,
        "tokens_generated": finish.completion_tokens,
        "prompt_tokens": finish.prompt_tokens,
        "cached_tokens": finish.cached_tokens,
        "generation_time_seconds": finish.seconds,
        "time_to_first_token_seconds": finish.first_token_seconds,
        "tokens_per_second": finish.tokens_per_second,
        "logprobs": [_token(token) for token in answer.tokens] if logprobs else None,
    }


def _piece(piece: GenerationChunk, *, logprobs: bool) -> dict[str, object]:
    shown: dict[str, object] = {"text": piece.text, "thinking": piece.thinking}
    if logprobs:
        shown["logprobs"] = [_token(token) for token in piece.tokens]
    return shown


def _token(token: TokenProbability) -> dict[str, object]:
    top = [{"token": text, "logprob": logprob} for text, logprob in token.likeliest]
    return {"token": token.text, "logprob": token.logprob, "top": top}


ROUTES = (
    Route("POST", "/api/model/generate", generate, media_type=EVENTS),
    Route("POST", "/api/model/compare", compare),
)
