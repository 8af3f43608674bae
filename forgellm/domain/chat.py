"""Asking a resident model: what is asked, and what comes back. How a model runs is not known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

ModelType = Literal["base", "instruct"]
FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wants to be called; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One turn: `role` is system, user, assistant or tool. A tool's answer names its call."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. Temperature 0 takes the likeliest; penalties of 0 and 1 do nothing."""

    max_tokens: int = 512
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None


@dataclass(frozen=True)
class GenerationRequest:
    """`messages` of a chat, or a `prompt` to go on with.

    `logprobs` is how many alternatives are wanted beside each token, None for no probabilities at all.
    `plain_base` asks the resident base without its adapter. The answer's text follows the JSON `schema`.
    `begun` is the beginning of the answer to `messages`: what comes back is the rest. An answer that is
    wanted `whole` may come in one piece when it is over.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    plain_base: bool = False
    tools: tuple[Mapping[str, object], ...] = ()
    template_options: Mapping[str, object] = field(default_factory=dict)
    schema: Mapping[str, object] | None = None
    begun: str = ""
    whole: bool = False


@dataclass(frozen=True)
class TokenProbability:
    """A token that was drawn, the logarithm of its probability, and the likeliest ones with theirs."""

    text: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Finish:
    """Why and how an answer ended. Seconds from the moment the request was accepted.

    `cached_tokens` of the prompt were known from an earlier turn. Speed counts from the first token on;
    None with fewer than two.
    """

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_seconds: float | None
    seconds: float
    tokens_per_second: float | None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class GenerationChunk:
    """A piece of an answer; the last one has `finish`. `thinking` is kept apart from the answer's `text`."""

    text: str = ""
    thinking: str = ""
    tokens: tuple[TokenProbability, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True)
class Target:
    """What is to be resident: a model by name, and the path of an adapter or one of its checkpoints."""

    model_name: str
    adapter_path: str | None = None


@dataclass(frozen=True)
class ModelStatus:
    """What a model server holds. `error` is why the last load failed; nothing is loaded then."""

    target: Target | None
    is_loading: bool
    model_type: ModelType | None
    memory_bytes: int
    context_length: int | None = None
    error: Mapping[str, object] | None = None
    active_requests: int = 0
    waiting_requests: int = 0

    @property
    def loaded(self) -> bool:
        return self.target is not None and not self.is_loading


class Answer(Protocol):
    """The pieces of an answer as they come, the last with `finish`. Iterating raises what it failed with."""

    def __iter__(self) -> Iterator[GenerationChunk]:
        """Once; leaving the loop early ends the generation."""

    def cancel(self) -> None:
        """End the generation, from any thread."""


class ModelService(Protocol):
    """One resident model that answers: in this process, or behind a model server's HTTP."""

    def load(self, target: Target, *, force: bool = False) -> None:
        """Begin to make `target` resident; requests wait for it. Raises what names a wrong target, and
        OutOfMemory for one that does not fit, unless `force` is set.
        """

    def unload(self) -> None:
        """Let go of the model; returns when its memory is free."""

    def status(self) -> ModelStatus:
        """What is resident now, or being loaded."""

    def generate(self, request: GenerationRequest) -> Answer:
        """Ask the resident model. Raises ModelNotLoaded, ModelBusy, InvalidField, TemplateTimeout."""
