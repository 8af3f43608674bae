"""Conversations out of plain transcripts: who speaks is told by how a turn's first line begins.

The usual ways are recognised (`**User**:`, `Human:`, `## Assistant`, `<|user|>`, `Q:` …), and one document is
taken to keep to one of them. Or they are given, as the plain beginnings of lines. What stands before the
first turn is no part of a conversation, and lines in fenced code begin no turn.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from forgellm.domain.chat import Message
from forgellm.domain.errors import InvalidField

ROLES = ("system", "user", "assistant")

_NAMES = {
    "system": "system",
    "user": "user human you customer client student interviewer question q prompt",
    "assistant": "assistant ai bot chatbot gpt chatgpt claude gemini copilot model agent support tutor "
    "answer a response interviewee",
}
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names.split()}
_NAME = "(?P<name>" + "|".join(sorted(_ROLE_OF, key=len, reverse=True)) + ")"
_AT = r"(?:[ \t]*[(\[][^)\]\n]{1,40}[)\]])?"
"""A time or a remark in brackets, before or behind a name."""

_STYLES = {
    "marked": re.compile(
        r"^[ \t]*(?:<\|(?:im_start|start_header_id)\|>|<start_of_turn>|<\|)"
        rf"{_NAME}(?:<\|end_header_id\|>|\|>|(?=[ \t]*$))[ \t]*",
        re.IGNORECASE | re.MULTILINE,
    ),
    "bold": re.compile(
        rf"^{_AT}[ \t]*(?:[-*>][ \t]+)?(?:\*\*|__){_NAME}{_AT}(?::(?:\*\*|__)|(?:\*\*|__){_AT}[ \t]*:)[ \t]*",
        re.IGNORECASE | re.MULTILINE,
    ),
    "heading": re.compile(
        rf"^#{{1,6}}[ \t]+(?:\*\*|__)?{_NAME}{_AT}[ \t]*:?(?:\*\*|__)?[ \t]*:?[ \t]*$",
        re.IGNORECASE | re.MULTILINE,
    ),
    "plain": re.compile(rf"^{_AT}[ \t]*\[?{_NAME}\]?{_AT}[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE),
}
_FENCED = re.compile(r"^[ \t]*(```+|~~~+)[^\n]*\n.*?^[ \t]*\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
_END_MARK = re.compile(r"(?:<\|(?:im_end|end|eot_id|endoftext)\|>|<end_of_turn>)$")
_RULE = re.compile(r"(?:^|\n)[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*$")
_TITLE = re.compile(r"(?:^|\n)#{1,2}[ \t]+[^\n]+$")


@dataclass(frozen=True)
class _Turn:
    """What one speaker says. `rule` tells of a line across the page behind it, which is not part of it.

    `untitled` is the same without the heading that it ends with, where it does.
    """

    role: str
    text: str
    rule: bool
    untitled: str


@dataclass(frozen=True)
class _Mark:
    """Where a turn begins: its first character, the first one after the name, and whose it is."""

    start: int
    end: int
    name: str
    role: str


def extract_conversations(
    text: str, patterns: Mapping[str, Sequence[str]] | None = None
) -> Iterator[tuple[Message, ...]]:
    """The conversations of a transcript, each up to its last answer; none where nobody asks and answers.

    `patterns` has by role (system, user, assistant) how its turns begin, as plain text at the start of a
    line. A title before a question begins another conversation, and so does a line across the page, unless
    such lines stand before answers too, and a system turn. Raises InvalidField for patterns of no role.
    """
    marks = _usual_marks(text) if patterns is None else _given_marks(text, patterns)
    for turns in _conversations(_turns(text, _outside_code(text, marks))):
        messages = _messages(turns)
        if {"user", "assistant"} <= {message.role for message in messages}:
            yield messages


def _given_marks(text: str, patterns: Mapping[str, Sequence[str]]) -> list[_Mark]:
    roles = {start: role for role, starts in patterns.items() for start in starts}
    if not roles or not set(patterns) <= set(ROLES) or not all(start.strip() for start in roles):
        raise InvalidField(
            "patterns must say by role how turns begin",
            details={"field": "patterns", "roles": list(ROLES)},
            suggestion='For instance {"user": ["**Tom**:"], "assistant": ["**Ada**:"]}.',
        )
    longest_first = "|".join(re.escape(start) for start in sorted(roles, key=len, reverse=True))
    found = re.finditer(rf"^[ \t]*({longest_first})[ \t]*", text, re.MULTILINE)
    return [_Mark(one.start(), one.end(), one[1], roles[one[1]]) for one in found]


def _usual_marks(text: str) -> list[_Mark]:
    """Those of the style that most turns have, and in it of one name for each role."""
    best: list[_Mark] = []
    for pattern in _STYLES.values():
        marks = _outside_code(text, [_mark(found) for found in pattern.finditer(text)])
        kept = _of_one_name(marks)
        if {"user", "assistant"} <= {mark.role for mark in kept} and len(kept) > len(best):
            best = kept
    return best


def _mark(found: re.Match[str]) -> _Mark:
    name = found["name"].lower()
    return _Mark(found.start(), found.end(), name, _ROLE_OF[name])


def _of_one_name(marks: Sequence[_Mark]) -> list[_Mark]:
    counts = Counter((mark.role, mark.name) for mark in marks)
    names = {role: name for (role, name), _ in reversed(counts.most_common())}
    return [mark for mark in marks if names[mark.role] == mark.name]


def _outside_code(text: str, marks: Sequence[_Mark]) -> list[_Mark]:
    fences = [found.span() for found in _FENCED.finditer(text)]
    starts = [start for start, _ in fences]

    def outside(mark: _Mark) -> bool:
        at = bisect_right(starts, mark.start) - 1
        return at < 0 or mark.start >= fences[at][1]

    return [mark for mark in marks if outside(mark)]


def _turns(text: str, marks: Sequence[_Mark]) -> list[_Turn]:
    ends = [*(mark.start for mark in marks[1:]), len(text)]
    return [_turn(mark.role, text[mark.end : end]) for mark, end in zip(marks, ends, strict=False)]


def _turn(role: str, text: str) -> _Turn:
    said = _END_MARK.sub("", text.rstrip()).strip()
    bare = _RULE.sub("", said).rstrip()
    untitled = _RULE.sub("", _TITLE.sub("", bare).rstrip()).rstrip()
    return _Turn(role, bare, bare != said, untitled)


def _conversations(turns: Sequence[_Turn]) -> Iterator[list[_Turn]]:
    rules_part = not any(before.rule and after.role == "assistant" for before, after in pairwise(turns))
    current: list[_Turn] = []
    for before, after in pairwise(turns):
        titled = after.role == "user" and before.untitled != before.text
        current.append(replace(before, text=before.untitled) if titled else before)
        parted = titled or (before.rule and rules_part)
        if after.role == "system" or (after.role == "user" and before.role != "system" and parted):
            yield current
            current = []
    yield [*current, *turns[-1:]]


def _messages(turns: Sequence[_Turn]) -> tuple[Message, ...]:
    """One message for turns of the same speaker, and nothing after the last answer."""
    spoken = [turn for turn in turns if turn.text]
    messages = [
        Message(role, "\n\n".join(turn.text for turn in same))
        for role, same in groupby(spoken, key=lambda turn: turn.role)
    ]
    while messages and messages[-1].role != "assistant":
        messages.pop()
    return tuple(messages)
