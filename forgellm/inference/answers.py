"""From tokens to an answer: text as it becomes certain, thinking and tool calls kept apart, stop strings.

Control sequences are recognised in the text, by mlx-lm's state machine for the model's own markers. Which
token comes next is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlx_lm.generate import TextStateMachine, make_text_state_machine

from forgellm.domain.chat import ToolCall
from forgellm.inference.tool_calls import BareCalls, MarkedCalls


@dataclass(frozen=True)
class Piece:
    """What one token added; `stopped` when a stop string ended the answer."""

    text: str = ""
    thinking: str = ""
    stopped: bool = False


class StopStrings:
    """Ends a text at the first of `stops`, and holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """(what is certain now, whether a stop string has come)."""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            certain, self._held = self._held[: min(found)], ""
            return certain, True
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        certain, self._held = self._held[:cut], self._held[cut:]
        return certain, False

    def flush(self) -> str:
        """What was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return held


class AnswerText:
    """One answer's text, taken apart as it comes. `thinks` says that the prompt already began a thought,
    `continues` that the answer goes on in the middle of a text, where a space at its beginning counts. Where
    no `tools` were offered, a call is text like any other.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        stop: Sequence[str],
        thinks: bool,
        continues: bool,
        tools: Sequence[Mapping[str, object]],
    ) -> None:
        self._tokenizer = tokenizer
        self._detokenizer = tokenizer.detokenizer
        self._continues = continues
        self._stops = StopStrings(stop)
        machine = make_text_state_machine(tokenizer if tools else _WithoutTools(tokenizer))
        self._state = machine.make_state("reasoning" if thinks else "normal")
        self._marked = MarkedCalls(tokenizer, tools)
        self._bare = BareCalls(() if tokenizer.has_tool_calling else tools)
        self._after_thought = thinks
        self.tool_calls: tuple[ToolCall, ...] = ()
        """The functions that the model wants to be called; known when the answer is over."""

    def add(self, token: int) -> Piece:
        """One more token of the answer."""
        self._detokenizer.add_token(token)
        certain, stopped = self._stops.feed(self._space_before(token) + self._detokenizer.last_segment)
        piece = self._sorted(certain, stopped=stopped)
        return self._with_rest(piece) if stopped else piece

    def end(self) -> Piece:
        """What was held back, when the model has ended the answer or its room was used up."""
        self._detokenizer.finalize()
        certain, stopped = self._stops.feed(self._detokenizer.last_segment)
        return self._with_rest(
            self._sorted(certain if stopped else certain + self._stops.flush(), stopped=stopped)
        )

    def _space_before(self, token: int) -> str:
        """mlx-lm's detokenizers take the space off the first word of a text."""
        if not self._continues:
            return ""
        self._continues = False
        return " " if self._tokenizer.decode([token]).startswith(" ") else ""

    def _sorted(self, text: str, *, stopped: bool) -> Piece:
        self._state, segments = TextStateMachine.split(self._state, text)
        piece = self._apart(segments)
        return Piece(piece.text, piece.thinking, stopped)

    def _with_rest(self, piece: Piece) -> Piece:
        """The last piece, with what could still have become a marker or a call."""
        self._state, rest, state = TextStateMachine.flush(self._state)
        last = self._apart([(state, rest)])
        bare, whole = self._bare.read()
        unread, calls = self._marked.read()
        self.tool_calls = (*whole, *calls)
        return Piece(piece.text + last.text + bare + unread, piece.thinking + last.thinking, piece.stopped)

    def _apart(self, segments: Sequence[tuple[str, str]]) -> Piece:
        text = thinking = ""
        for state, part in segments:
            if state == "tool":
                self._marked.add(part)
                continue
            self._marked.close()
            if state == "reasoning":
                thinking += part
                self._after_thought = True
            else:
                text += self._bare.feed(self._begun(part))
        return Piece(text, thinking)

    def _begun(self, text: str) -> str:
        """Without the line breaks that part a thought from what is said: templates write them themselves, and
        a conversation that came back with them would be one that the model was never trained on."""
        if not self._after_thought:
            return text
        said = text.lstrip("\n")
        self._after_thought = not said
        return said


class _WithoutTools:
    """A tokenizer (mlx-lm's wrapper) whose markers of calls mean nothing."""

    has_tool_calling = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` with which `stop` begins, short of all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
