"""A Modelfile for `ollama create`: where the weights are, and the chat template in Go's language.

Ollama does not run Jinja. What the model's own template puts around each message is found by rendering it,
and the Go template made of it is checked against it; one that does more than that is refused.
The format: https://github.com/ollama/ollama/blob/main/docs/modelfile.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from forgellm.data.chat import ChatFormat, UnmaskableExample, prompt
from forgellm.domain.chat import Message
from forgellm.domain.errors import UnsupportedExport

_MARK = "Q0N"
# What `data.chat` puts between a system prompt and the question that it heads.
_FOLDED = "\n\n"
# Braces that Go would take for the beginning of an action, also together with one that follows; and quotation
# marks that would be counted to the three around all of it.
_MEANT = re.compile(r"\{{2,}|\{\Z|\A\"+|\"+\Z")
_GO_TEXT = {"{": '"{"', '"': '"\\""'}


@dataclass(frozen=True)
class Around:
    """What a template writes before and after a message's text."""

    before: str
    after: str


@dataclass(frozen=True)
class Turns:
    """A chat template taken apart. `lead` stands before everything, `default` in the place of a system prompt
    where none is given. Where `system` is None such a prompt heads the first question.
    """

    lead: str
    default: str
    system: Around | None
    user: Around
    assistant: Around
    answer: str


def modelfile(weights: str, form: ChatFormat, *, stops: Sequence[str], begin: str) -> str:
    """The text of a Modelfile beside a GGUF file called `weights`.

    `begin` is the text of the token that llama.cpp itself puts at the start, if it does. Raises
    UnsupportedExport where the chat template does more than put words around messages.
    """
    turns = take_apart(form)
    lead = turns.lead.removeprefix(begin)
    lines = [f"FROM ./{weights}", f'TEMPLATE """{go_template(turns, lead)}"""']
    lines += [f'PARAMETER stop "{stop}"' for stop in stops if '"' not in stop]
    return "\n".join(lines) + "\n"


def take_apart(form: ChatFormat) -> Turns:
    """What the template of `form` writes around messages. Raises UnsupportedExport."""
    try:
        turns = _take_apart(form)
        for messages in _conversations(turns):
            if rendered(turns, messages) != prompt(form, messages):
                raise _refused("it treats messages differently by where they are")
    except (UnmaskableExample, ValueError) as error:
        raise _refused(str(error)) from error
    return turns


def rendered(turns: Turns, messages: Sequence[Message]) -> str:
    """What the Go template makes of a conversation, with the beginning of the answer."""
    text = turns.lead + ("" if messages[0].role == "system" else turns.default)
    folded = turns.system is None and messages[0].role == "system"
    system = turns.system or Around(turns.user.before, _FOLDED)
    around = {"system": system, "user": turns.user, "assistant": turns.assistant}
    for number, message in enumerate(messages):
        put = around[message.role]
        text += ("" if folded and number == 1 else put.before) + message.content + put.after
    return text + turns.answer


def go_template(turns: Turns, lead: str) -> str:
    """The template in Go's language, over Ollama's `.Messages`."""
    parts = [_literal(lead)]
    if turns.default:
        parts += ['{{ if ne (index .Messages 0).Role "system" }}', _literal(turns.default), "{{ end }}"]
    user, system = _literal(turns.user.before), turns.system
    if system is None:
        user = f'{{{{ if or (ne $n 1) (ne (index $.Messages 0).Role "system") }}}}{user}{{{{ end }}}}'
        system = Around(turns.user.before, _FOLDED)
    parts += [
        "{{ range $n, $message := .Messages }}",
        *('{{ if eq .Role "system" }}', _literal(system.before), "{{ .Content }}", _literal(system.after)),
        *('{{ else if eq .Role "user" }}', user, "{{ .Content }}", _literal(turns.user.after)),
        *('{{ else if eq .Role "assistant" }}', _literal(turns.assistant.before)),
        *("{{ .Content }}", _literal(turns.assistant.after), "{{ end }}{{ end }}", _literal(turns.answer)),
    ]
    return "".join(parts)


def _take_apart(form: ChatFormat) -> Turns:
    user, assistant = Message("user", f"{_MARK}1Q"), Message("assistant", f"{_MARK}2Q")
    once = prompt(form, [user])
    twice = prompt(form, [user, assistant, Message("user", f"{_MARK}3Q")])
    answer = form.generation_prompt
    head, tail = once.removesuffix(answer).split(f"{_MARK}1Q")
    first, rest = twice.removesuffix(answer).split(f"{_MARK}1Q")
    spoken, after_answer = rest.split(f"{_MARK}2Q")
    if first != head or not spoken.startswith(tail):
        raise ValueError("the first message changes with what follows it")
    following, last = after_answer.split(f"{_MARK}3Q")
    # Before the second question stand its own words and the answer's end; the first question shows which.
    shared = _shared_end(head, following)
    around_user = Around(shared, tail)
    around_assistant = Around(spoken.removeprefix(tail), following.removesuffix(shared))
    if last != tail:
        raise ValueError("the last message ends differently")
    lead = head.removesuffix(shared)
    if not form.knows_system:
        return Turns(lead, "", None, around_user, around_assistant, answer)
    return _with_system(form, lead, around_user, around_assistant, answer=answer)


def _with_system(form: ChatFormat, lead: str, user: Around, assistant: Around, *, answer: str) -> Turns:
    text = prompt(form, [Message("system", f"{_MARK}4Q"), Message("user", f"{_MARK}1Q")])
    before, rest = text.split(f"{_MARK}4Q")
    after = rest.removesuffix(user.before + f"{_MARK}1Q" + user.after + answer)
    if after == rest:
        raise ValueError("the system prompt changes the first message")
    shared = _shared_start(lead, before)
    return Turns(
        shared, lead.removeprefix(shared), Around(before.removeprefix(shared), after), user, assistant, answer
    )


def _conversations(turns: Turns) -> list[list[Message]]:
    """What the result is checked with: with and without a system prompt, of one, three and five messages."""
    spoken = [Message("user", "One?"), Message("assistant", "Two."), Message("user", "3 {{ x }}")]
    spoken += [Message("assistant", "Four\nlines"), Message("user", "Five")]
    lengths = [spoken[:1], spoken[:3], spoken]
    return [*lengths, *([Message("system", "Be brief."), *messages] for messages in lengths)]


def _shared_end(first: str, second: str) -> str:
    length = 0
    while length < min(len(first), len(second)) and first[-1 - length] == second[-1 - length]:
        length += 1
    return first[len(first) - length :]


def _shared_start(first: str, second: str) -> str:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return first[:length]


def _literal(text: str) -> str:
    """Text as it is in a Go template, inside a Modelfile's three quotation marks."""
    if '"""' in text:
        raise ValueError("it writes three quotation marks in a row")
    return _MEANT.sub(lambda found: "".join(f"{{{{ {_GO_TEXT[one]} }}}}" for one in found[0]), text)


def _refused(problem: str) -> UnsupportedExport:
    return UnsupportedExport(
        f"the chat template cannot be written for Ollama: {problem}",
        details={"problem": problem},
        suggestion="Export the model as gguf: the file holds the template for programs that run it.",
    )
