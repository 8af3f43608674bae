"""From a request to the tokens that the model is given: its chat template, or the plain text of a completion.

A model is an instruct model exactly when its tokenizer has a chat template. A base model is asked in the
plain form that instruction fine-tuning teaches it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from forgellm.data.chat import PLAIN_TEMPLATE, fold_system
from forgellm.data.endings import EXCHANGE, closing
from forgellm.domain.chat import GenerationRequest, Message, ModelType
from forgellm.domain.errors import InvalidField, InvalidModel
from forgellm.inference.grammar import check_schema
from forgellm.inference.rendering import Renderer
from forgellm.inference.spoken import SpokenAnswers

_SYSTEM = "SYSTEMPROMPT"
_FUNCTION = "FUNCTIONOFFERED"
# Whole, because templates look into all of it.
_OFFERED: Mapping[str, object] = {
    "type": "function",
    "function": {
        "name": _FUNCTION,
        "description": "F",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "string", "description": "A"}},
            "required": ["a"],
        },
    },
}


@dataclass(frozen=True)
class Prompt:
    """`tokens` to begin with; `thinks` when they end inside a thought. `text` is what the chat template made,
    None where the tokens are those of something else.
    """

    tokens: tuple[int, ...]
    thinks: bool
    text: str | None = None


@dataclass(frozen=True)
class ChatForm:
    """A tokenizer (mlx-lm's wrapper) and what was found out about its template when it was loaded. `spoken`
    is what was said in it.
    """

    tokenizer: Any
    renderer: Renderer
    spoken: SpokenAnswers
    knows_system: bool
    knows_tools: bool

    @property
    def model_type(self) -> ModelType:
        """What the tokenizer's chat template says, and nothing else."""
        return "instruct" if self.tokenizer.has_chat_template else "base"


def chat_form(tokenizer: Any, renderer: Renderer) -> ChatForm:
    """Find out whether the template has a system role and shows tools. What closes an answer in it becomes
    one of the tokenizer's ends.

    Raises InvalidModel where it cannot even render a question, TemplateTimeout where it does not end.
    """
    spoken = SpokenAnswers(
        [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    )
    form = ChatForm(tokenizer, renderer, spoken, knows_system=True, knows_tools=True)
    question, answer = Message("user", "Q"), Message("assistant", "A")
    try:
        _render(form, GenerationRequest((question,)))
    except InvalidField as error:
        raise InvalidModel(
            error.message, suggestion="Use another model, or mend its chat template."
        ) from error
    end = _end(form)
    if end is not None:
        tokenizer.add_eos_token(str(end))
    return ChatForm(
        tokenizer,
        renderer,
        spoken,
        knows_system=_shows(form, _SYSTEM, (Message("system", _SYSTEM), question, answer)),
        knows_tools=_shows(form, _FUNCTION, (question,), tools=(_OFFERED,)),
    )


def _shows(
    form: ChatForm, word: str, messages: tuple[Message, ...], *, tools: tuple[Mapping[str, object], ...] = ()
) -> bool:
    """Whether `word` reaches the model, and is not left out or refused."""
    try:
        return word in _render(form, GenerationRequest(messages, tools=tools))
    except InvalidField:
        return False


def _end(form: ChatForm) -> int | None:
    """The token that closes an answer, where it is not among the tokenizer's ends."""
    try:
        text = _render(form, GenerationRequest(EXCHANGE), answered=True)
    except InvalidField:
        return None
    return closing(form.tokenizer, text, form.tokenizer.eos_token_ids)


def build_prompt(form: ChatForm, request: GenerationRequest, *, context: int | None) -> Prompt:
    """The prompt of a request. `context` is the model's, in tokens.

    Raises InvalidField for messages that the template refuses, for an empty prompt, and for one that leaves
    no room in the context; TemplateTimeout.
    """
    tokenizer = form.tokenizer
    if request.tools and not form.knows_tools:
        raise InvalidField(
            "the resident model's chat template has no tools",
            details={"field": "tools"},
            suggestion="Use a model that was trained to call tools, or leave them out.",
        )
    if request.schema is not None:
        check_schema(request.schema, tokenizer)
    text = None
    if request.prompt is not None:
        tokens = _text_tokens(tokenizer, request.prompt)
    else:
        text = _render(form, request)
        tokens = form.spoken.tokens(text, partial(tokenizer.encode, add_special_tokens=False))
        if request.begun:
            tokens += _begun(tokenizer, request.begun, thinks=ends_thinking(tokenizer, tokens))
            text = None
    if not tokens:
        raise InvalidField(
            "the prompt is empty", details={"field": "prompt"}, suggestion="Give at least one word."
        )
    if context is not None and len(tokens) >= context:
        raise InvalidField(
            f"the prompt has {len(tokens)} tokens, but the model's context is {context}",
            details={"field": "prompt", "tokens": len(tokens), "context": context},
            suggestion="Shorten the conversation, or begin a new one.",
        )
    return Prompt(tuple(tokens), ends_thinking(tokenizer, tokens), text)


def _render(form: ChatForm, request: GenerationRequest, *, answered: bool = False) -> str:
    """The conversation as the template writes it, with the beginning of an answer unless it is `answered`."""
    messages = request.messages if form.knows_system else fold_system(request.messages)
    tokenizer = form.tokenizer
    template = PLAIN_TEMPLATE
    if tokenizer.has_chat_template:
        template = tokenizer.get_chat_template(None, list(request.tools) or None)
    return form.renderer.render(
        template,
        [_plain(message) for message in messages],
        tools=request.tools,
        variables={**tokenizer.special_tokens_map, **request.template_options},
        answered=answered,
    )


def _text_tokens(tokenizer: Any, text: str) -> list[int]:
    """A text to go on with: begun once, also where who asks has begun it, and not ended, as some tokenizers
    end every text."""
    begun = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    tokens: list[int] = tokenizer.encode(text, add_special_tokens=not begun)
    ended = tokenizer.eos_token is not None and tokens[-1:] == [tokenizer.eos_token_id]
    return tokens[:-1] if ended and not text.endswith(tokenizer.eos_token) else tokens


def _begun(tokenizer: Any, text: str, *, thinks: bool) -> list[int]:
    """The tokens of an answer that goes on; a thought that the template opens is over."""
    known: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if not thinks:
        return known
    closed: list[int] = tokenizer.encode(f"{tokenizer.think_end}\n\n", add_special_tokens=False)
    return closed + known


def _plain(message: Message) -> dict[str, object]:
    values: dict[str, object] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        values["tool_calls"] = [
            {"id": call.id, "type": "function", "function": _function(call.name, call.arguments)}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        values["tool_call_id"] = message.tool_call_id
    return values


def _function(name: str, arguments: str) -> Mapping[str, object]:
    """Templates take the arguments as an object; a text that is none stays a text."""
    try:
        return {"name": name, "arguments": json.loads(arguments)}
    except ValueError:
        return {"name": name, "arguments": arguments}


def ends_thinking(tokenizer: Any, tokens: Sequence[int]) -> bool:
    """Whether a prompt ends inside a thought."""
    if not tokenizer.has_thinking:
        return False
    return bool(tokenizer.rfind_think_start(tokens) > tokenizer.rfind_think_end(tokens))
