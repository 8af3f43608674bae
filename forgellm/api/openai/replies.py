"""Parts of an answer that chat and completions write alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from pydantic import BaseModel

from forgellm.domain.chat import Finish, TokenProbability, ToolCall


class PromptTokensDetails(BaseModel):
    cached_tokens: int


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


@dataclass(frozen=True)
class Head:
    """What every event of one answer repeats."""

    id: str
    created: int
    model: str


def new_head(prefix: str, model: str, *, now: datetime) -> Head:
    """For a new answer."""
    return Head(f"{prefix}-{uuid4().hex}", int(now.timestamp()), model)


def usage_of(finish: Finish) -> Usage:
    return Usage(
        prompt_tokens=finish.prompt_tokens,
        completion_tokens=finish.completion_tokens,
        total_tokens=finish.prompt_tokens + finish.completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=finish.cached_tokens),
    )


def calls_of(calls: Sequence[ToolCall]) -> list[dict[str, object]]:
    """Tool calls as a message has them."""
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]


def chat_logprobs(tokens: Sequence[TokenProbability]) -> dict[str, object]:
    """Probabilities as a chat has them."""
    return {
        "content": [
            {
                **_one(token.text, token.logprob),
                "top_logprobs": [_one(text, logprob) for text, logprob in token.likeliest],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def completion_logprobs(tokens: Sequence[TokenProbability], *, offset: int) -> dict[str, object]:
    """Probabilities as a completion has them; `offset` characters came before."""
    offsets = [offset]
    for token in tokens:
        offsets.append(offsets[-1] + len(token.text))
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.likeliest) for token in tokens],
        "text_offset": offsets[:-1],
    }


def _one(text: str, logprob: float) -> dict[str, object]:
    # Of a piece of a character, its bytes are not known here.
    known = None if "\ufffd" in text else list(text.encode())
    return {"token": text, "logprob": logprob, "bytes": known}
