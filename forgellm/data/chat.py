"""A chat template applied to an example, and where in the text each assistant's turn lies.

A template is a program: it may trim a message, drop earlier thinking, move the system prompt or add one of
its own. So the places are not guessed from the text. Each message's core is replaced by a marker, the
template is rendered with the markers, and putting the cores back must give exactly what the template makes
of the real messages; otherwise the example is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from forgellm.domain.chat import Message
from forgellm.domain.errors import InvalidModel

PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ message['role'] | capitalize + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
)
"""For a base model without a chat template: role, text, and the end-of-text token after each answer."""

_THINKING_BEGINS, _THINKING_ENDS = "<think>", "</think>"


class UnmaskableExample(Exception):
    """The template refuses an example, or hides where its turns are. Caught in `encoding`."""


@dataclass(frozen=True)
class Turn:
    """One assistant's turn in a rendered text, in characters.

    `start` is where the model begins to speak, `core` what the example says (without outer white space),
    and before `bound` its end-of-turn token must come.
    """

    start: int
    core: tuple[int, int]
    bound: int


@dataclass(frozen=True)
class Rendered:
    """An example as the model sees it."""

    text: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class ChatFormat:
    """A tokenizer's template with what was found out about it once.

    `opening` is the end of the generation prompt that the template leaves out before an answer that was
    given: a thought that is opened (DeepSeek R1), or one that is empty and over (Gemma 4).
    """

    tokenizer: Any
    template: str | None
    generation_prompt: str
    knows_system: bool
    opening: str = ""

    @property
    def header(self) -> str:
        """What stands before an answer that was given."""
        return self.generation_prompt.removesuffix(self.opening)


@dataclass(frozen=True)
class _Parts:
    """A message taken apart: `before` and `after` stay, `core` is replaced by a marker."""

    role: str
    before: str
    core: str
    after: str


@dataclass(frozen=True)
class _Core:
    """Where the core of message `index` came to lie in the rendered text."""

    index: int
    start: int
    end: int


def chat_format(tokenizer: Any) -> ChatFormat:
    """Find out how a tokenizer's chat template begins an answer and whether it has a system role.

    Raises InvalidModel where the template cannot even render a question.
    """
    template = None if tokenizer.chat_template else PLAIN_TEMPLATE
    question = [Message("user", "Q")]
    try:
        bare = _apply(tokenizer, template, question)
        asked = _apply(tokenizer, template, question, add_generation_prompt=True)
    except UnmaskableExample as error:
        raise InvalidModel(
            f"the chat template of {tokenizer.name_or_path} cannot be used: {error}",
            suggestion="Use another model, or mend its chat template.",
        ) from error
    common = next((n for n, (a, b) in enumerate(zip(bare, asked, strict=False)) if a != b), len(bare))
    # With an answer behind it: some templates write the system prompt only into a question that comes last.
    probe = [Message("system", "SYSTEMPROMPT"), *question, Message("assistant", "A")]
    knows_system = _shows(tokenizer, template, probe, "SYSTEMPROMPT")
    opening = _opening(tokenizer, template, question, asked)
    return ChatFormat(tokenizer, template, asked[common:], knows_system, opening)


def render(form: ChatFormat, messages: Sequence[Message]) -> Rendered:
    """The text of an example and its assistant's turns, in order. Raises UnmaskableExample."""
    messages = messages if form.knows_system else fold_system(messages)
    parts = [_take_apart(message) for message in messages]
    mark = _free_mark(messages)
    marked = [Message(p.role, f"{p.before}{mark}{n}Q{p.after}") for n, p in enumerate(parts)]
    text = _apply(form.tokenizer, form.template, messages)
    rebuilt, cores = _put_back(_apply(form.tokenizer, form.template, marked), mark, parts)
    wanted = [n for n, p in enumerate(parts) if p.role == "assistant"]
    if rebuilt != text or [c.index for c in cores if c.index in wanted] != wanted:
        raise UnmaskableExample("the chat template changes it so that its answers cannot be told apart")
    rendered = Rendered(text, tuple(_turns(form, text, cores, parts=parts)))
    return (
        _opened(form, rendered, parts[-1]) if form.opening and messages[-1].role == "assistant" else rendered
    )


def prompt(form: ChatFormat, messages: Sequence[Message]) -> str:
    """What a model is given to answer `messages`, in the form that it was trained with.

    Raises UnmaskableExample where the template refuses them.
    """
    messages = messages if form.knows_system else fold_system(messages)
    return _apply(form.tokenizer, form.template, messages, add_generation_prompt=True)


def _apply(
    tokenizer: Any, template: str | None, messages: Sequence[Message], *, add_generation_prompt: bool = False
) -> str:
    try:
        return str(
            tokenizer.apply_chat_template(
                [{"role": m.role, "content": m.content} for m in messages],
                chat_template=template,
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
            )
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise UnmaskableExample(f"the chat template refuses it: {error}") from error


def _shows(tokenizer: Any, template: str | None, messages: Sequence[Message], text: str) -> bool:
    try:
        return text in _apply(tokenizer, template, messages)
    except UnmaskableExample:
        return False


def _opening(tokenizer: Any, template: str | None, question: list[Message], asked: str) -> str:
    try:
        answered = _apply(tokenizer, template, [*question, Message("assistant", "ANSWER")])
    except UnmaskableExample:
        return ""
    before = answered.partition("ANSWER")[0]
    return asked.removeprefix(before) if asked.startswith(before) else ""


def _opened(form: ChatFormat, rendered: Rendered, last: _Parts) -> Rendered:
    """The last answer behind all that the model is given to answer, or it would be learned where it is never
    asked for. A thought that is opened there is said, or empty, and over."""
    turn = rendered.turns[-1]
    text, (core, end) = rendered.text, turn.core
    if text[: turn.start].endswith(form.opening):
        return rendered
    header = form.header
    region = rendered.turns[-2].core[1] if len(rendered.turns) > 1 else 0
    at = text.rfind(header, region, core) if header else -1
    place = at + len(header) if at >= 0 else turn.start
    said = text[place:core]
    if form.opening.rfind(_THINKING_BEGINS) > form.opening.rfind(_THINKING_ENDS):
        thought = last.before.rpartition(_THINKING_ENDS)[0].rpartition(_THINKING_BEGINS)[2].strip("\n")
        said = f"{thought}\n{_THINKING_ENDS}\n\n"
    start = place + len(form.opening)
    more = start + len(said) - core
    whole = text[:place] + form.opening + said + text[core:]
    return Rendered(whole, (*rendered.turns[:-1], Turn(start, (core + more, end + more), turn.bound + more)))


def fold_system(messages: Sequence[Message]) -> Sequence[Message]:
    """For a template without a system role: its text heads the first user message, as Gemma's own does."""
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return messages
    first = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
    return [first, *messages[2:]]


def _take_apart(message: Message) -> _Parts:
    """Thinking and outer white space stay in place, because templates look at them."""
    head, ends, rest = message.content.rpartition(_THINKING_ENDS)
    if message.role != "assistant" or not rest.strip():
        head, ends, rest = "", "", message.content
    core = rest.strip()
    at = rest.find(core)
    return _Parts(message.role, head + ends + rest[:at], core, rest[at + len(core) :])


def _free_mark(messages: Sequence[Message]) -> str:
    number = 0
    while any(f"Q{number}N" in message.content for message in messages):
        number += 1
    return f"Q{number}N"


def _put_back(marked: str, mark: str, parts: Sequence[_Parts]) -> tuple[str, list[_Core]]:
    pieces: list[str] = []
    cores: list[_Core] = []
    length = last = 0
    for found in re.finditer(f"{mark}([0-9]+)Q", marked):
        index = int(found.group(1))
        start = length + found.start() - last
        pieces += [marked[last : found.start()], parts[index].core]
        length, last = start + len(parts[index].core), found.end()
        cores.append(_Core(index, start, length))
    return "".join([*pieces, marked[last:]]), cores


def _turns(form: ChatFormat, text: str, cores: Sequence[_Core], *, parts: Sequence[_Parts]) -> list[Turn]:
    turns = []
    for n, core in enumerate(cores):
        if parts[core.index].role != "assistant":
            continue
        region = cores[n - 1].end if n else 0
        bound = cores[n + 1].start if n + 1 < len(cores) else len(text)
        kept = parts[core.index].before
        start = region + _speaks_from(text[region : core.start], kept, form.header)
        turns.append(Turn(start, (core.start, core.end), bound))
    return turns


def _speaks_from(before: str, kept: str, prompt: str) -> int:
    """Where in `before`, the text that leads up to a core, the model begins to speak.

    After the generation prompt, so that what a template writes between it and the answer (an empty thought)
    is learned too. Where there is none, the answer begins with what the message itself has, or a space.
    """
    # Looked for before `kept` is taken off: a template that trims messages may end its prompt in the same
    # white space.
    at = before.rfind(prompt) if prompt else -1
    if at >= 0:
        return at + len(prompt)
    lead = before.removesuffix(kept)
    return len(lead.rstrip(" ")) if not prompt else len(lead)
