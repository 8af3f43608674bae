"""A chat as OpenAI's clients send it, and the request that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from forgellm.api.openai.fields import (
    Common,
    check_stream_options,
    check_supported,
    sampling_of,
    stops,
)
from forgellm.api.routes import Body
from forgellm.domain.chat import GenerationRequest, Message, ToolCall
from forgellm.domain.errors import InvalidField

UNLIMITED = 1 << 15
"""Tokens of an answer without max_tokens, where the model's context does not end it before."""

_RESERVED = frozenset(
    "add_generation_prompt chat_template continue_final_message conversations documents messages "
    "return_assistant_tokens_mask tools".split()
)


class Part(Body):
    type: Literal["text"]
    text: str


class CalledFunction(Body):
    name: str
    arguments: str = Field(description="JSON")


class Call(Body):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Turn(Body):
    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = Field(None, description="not shown to the model")
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = Field(None, description="of an earlier answer; not shown to the model")
    refusal: str | None = Field(None, description="not shown to the model")
    annotations: list[dict[str, Any]] | None = Field(
        None, description="of an earlier answer; not shown to the model"
    )
    audio: None = Field(None, description="not supported")
    function_call: None = Field(None, description="not supported: use tool_calls")


class ToolFunction(Body):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Literal[False] | None = None


class Tool(Body):
    type: Literal["function"]
    function: ToolFunction


class Schema(Body):
    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = Field(None, description="not shown to the model")
    strict: bool | None = Field(None, description="it is always followed")


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class Chat(Common):
    messages: list[Turn] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, le=2**53)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = Field(None, description="auto or none")
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, str | int | float | bool | None] | None = Field(
        None, description="not OpenAI's: variables of the model's chat template, as enable_thinking"
    )
    response_format: ResponseFormat | None = None
    audio: dict[str, Any] | None = Field(None, description="not supported")
    function_call: str | dict[str, Any] | None = Field(None, description="not supported: use tools")
    functions: list[dict[str, Any]] | None = Field(None, description="not supported: use tools")
    modalities: list[str] | None = Field(None, description="text")
    moderation: dict[str, Any] | None = Field(None, description="not supported")
    reasoning_effort: str | None = Field(None, description="not supported: use chat_template_kwargs")
    verbosity: str | None = Field(None, description="not supported")
    web_search_options: dict[str, Any] | None = Field(None, description="not supported")
    metadata: dict[str, str] | None = Field(None, description="kept nowhere")
    prediction: dict[str, Any] | None = Field(None, description="changes no answer")
    prompt_cache_key: str | None = Field(None, description="what is known of a prompt is found without it")
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = Field(None, description="kept nowhere")
    service_tier: str | None = None
    store: bool | None = Field(None, description="nothing is stored")


def chat_request(body: Chat) -> GenerationRequest:
    """Raises InvalidField for what cannot be followed."""
    check_supported(body)
    check_stream_options(body)
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidField(
            "top_logprobs needs logprobs = true",
            details={"field": "top_logprobs"},
            suggestion="Set logprobs.",
        )
    tools = [] if body.tool_choice == "none" else body.tools or []
    return GenerationRequest(
        messages=tuple(_message(turn, n) for n, turn in enumerate(body.messages)),
        sampling=sampling_of(body, max_tokens=_most_tokens(body)),
        stop=stops(body),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        tools=tuple(tool.model_dump(exclude_none=True) for tool in tools),
        template_options=_template_options(body.chat_template_kwargs or {}),
        schema=_schema(body.response_format),
        whole=not body.stream,
    )


def _schema(wanted: ResponseFormat | None) -> Mapping[str, object] | None:
    """What `response_format` asks the text to follow."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.json_schema is None:
        raise InvalidField(
            "response_format json_schema has no json_schema",
            details={"field": "response_format.json_schema"},
            suggestion="Give json_schema: a name and a schema.",
        )
    return wanted.json_schema.schema_


def _most_tokens(body: Chat) -> int:
    given = {n for n in (body.max_tokens, body.max_completion_tokens) if n is not None}
    if len(given) > 1:
        raise InvalidField(
            "max_tokens and max_completion_tokens differ",
            details={"field": "max_completion_tokens"},
            suggestion="Give max_completion_tokens alone.",
        )
    return given.pop() if given else UNLIMITED


def _message(turn: Turn, place: int) -> Message:
    content = turn.content
    if content is None and not turn.tool_calls:
        raise InvalidField(
            f"message {place} has no content",
            details={"field": f"messages.{place}.content"},
            suggestion="Only an assistant's tool_calls stand without content.",
        )
    text = content if isinstance(content, str) else "".join(part.text for part in content or ())
    return Message(
        role="system" if turn.role == "developer" else turn.role,
        content=text,
        tool_calls=tuple(
            ToolCall(call.id, call.function.name, call.function.arguments) for call in turn.tool_calls or ()
        ),
        tool_call_id=turn.tool_call_id,
    )


def _template_options(given: Mapping[str, object]) -> Mapping[str, object]:
    taken = next((name for name in given if name in _RESERVED), None)
    if taken is not None:
        raise InvalidField(
            f"{taken} is no variable of a chat template that a request may set",
            details={"field": f"chat_template_kwargs.{taken}"},
            suggestion="A model's template is never replaced.",
        )
    return given
