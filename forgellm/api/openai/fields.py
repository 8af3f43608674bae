"""What both ways of asking take. Every documented field is known; one that would change the answer and cannot
be followed is refused, not passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from forgellm.api.routes import Body
from forgellm.domain.chat import Sampling
from forgellm.domain.errors import InvalidField

_LARGEST = 2**53
_SEEDS = 2**63

# What leaves the answer as it would be without the field.
_HARMLESS: Mapping[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": (),
    "functions": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "reasoning_effort": (),
    "suffix": ("",),
    "tool_choice": ("auto", "none"),
    "verbosity": ("medium",),
    "web_search_options": (),
}


class StreamOptions(Body):
    include_usage: bool | None = Field(None, description="one more event, with `usage`, before the last")
    include_obfuscation: bool | None = None


class Common(Body):
    """`None` is the same as leaving a field out."""

    model: str | None = Field(
        None,
        description="a model, a published model, a run, run@iteration or base+run; the resident one if null",
    )
    max_tokens: int | None = Field(None, ge=1, le=_LARGEST)
    temperature: float | None = Field(None, ge=0, le=2, description="1 if null; 0 takes the likeliest token")
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0, le=_LARGEST, description="not OpenAI's")
    min_p: float | None = Field(None, ge=0, le=1, description="not OpenAI's")
    repetition_penalty: float | None = Field(None, gt=0, le=10, description="not OpenAI's")
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = Field(None, ge=-_SEEDS, lt=_SEEDS, description="the same seed repeats the same text")
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, description="1: one answer to each request")
    logit_bias: dict[str, float] | None = Field(None, description="not supported")
    user: str | None = Field(None, description="kept nowhere")


def check_supported(body: Body) -> None:
    """Raises InvalidField for a field that would change the answer if it were followed."""
    for name, harmless in _HARMLESS.items():
        value = getattr(body, name, None)
        if value is not None and value not in harmless:
            raise InvalidField(
                f"{name} = {value!r:.60} is not supported",
                details={"field": name},
                suggestion=f"Leave {name} out.",
            )


def check_stream_options(body: Common) -> None:
    """Raises InvalidField where there are options for a stream that nobody asked for."""
    if body.stream_options is not None and not body.stream:
        raise InvalidField(
            "stream_options needs stream = true",
            details={"field": "stream_options"},
            suggestion="Set stream.",
        )


def wants_usage(body: Common) -> bool:
    """Whether a stream is to tell how many tokens there were."""
    return body.stream_options is not None and bool(body.stream_options.include_usage)


def sampling_of(body: Common, *, max_tokens: int) -> Sampling:
    """OpenAI's defaults, not the native ones: temperature 1. With `top_p` 0 the likeliest token is left."""
    given: dict[str, Any] = {
        name: value
        for name in ("top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
        if (value := getattr(body, name)) is not None
    }
    temperature = 1.0 if body.temperature is None else body.temperature
    if given.get("top_p") == 0:
        given.pop("top_p")
        temperature = 0.0
    seed = None if body.seed is None else body.seed % 2**64
    return Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed, **given)


def stops(body: Common) -> tuple[str, ...]:
    """The texts that end the answer."""
    given: list[str] | Literal[""] = [body.stop] if isinstance(body.stop, str) else body.stop or ""
    return tuple(given)
