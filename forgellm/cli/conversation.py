"""A conversation with a model: its turns, settings and figures. How it is shown or sent is not known here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from forgellm.cli.answers import Reply
from forgellm.cli.sampling import SETTINGS, parse_setting
from forgellm.domain.chat import Finish, GenerationRequest, Message, Sampling
from forgellm.domain.errors import InvalidField, nearest


@dataclass(frozen=True)
class Turn:
    """A question and what was answered."""

    question: str
    answer: str


@dataclass
class Conversation:
    """`completes` goes on with each text by itself; otherwise the model hears all turns. `unanswered` is a
    question to which nothing has come yet.
    """

    completes: bool
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    plain_base: bool = False
    turns: list[Turn] = field(default_factory=list)
    unanswered: str | None = None
    finishes: list[Finish] = field(default_factory=list)

    def ask(self, question: str) -> GenerationRequest:
        """The request for an answer to `question`, with all that was said before."""
        self.unanswered = question
        return self.request(question, self.turns)

    def request(self, question: str, before: list[Turn]) -> GenerationRequest:
        """The request for an answer to `question` after the turns `before`."""
        bare = GenerationRequest(sampling=self.sampling, stop=self.stop, plain_base=self.plain_base)
        if self.completes:
            return replace(bare, prompt=question)
        messages = [Message("system", self.system)] if self.system else []
        for turn in before:
            messages += [Message("user", turn.question), Message("assistant", turn.answer)]
        return replace(bare, messages=(*messages, Message("user", question)))

    def add(self, question: str, reply: Reply) -> None:
        """What was answered to `question`, also as far as it came; nothing at all leaves it unanswered."""
        if reply.finish is not None:
            self.finishes.append(reply.finish)
        if reply.text or reply.finish is not None:
            self.turns.append(Turn(question, reply.text))
            self.unanswered = None

    def undo(self) -> str | None:
        """Take the last question back, with its answer; None where there is none."""
        question, self.unanswered = self.unanswered, None
        if question is None and self.turns:
            question = self.turns.pop().question
        return question

    def last(self) -> tuple[str, list[Turn]] | None:
        """The last question and the turns before it."""
        if self.unanswered is not None:
            return self.unanswered, list(self.turns)
        return (self.turns[-1].question, self.turns[:-1]) if self.turns else None

    def clear(self) -> None:
        """Forget the turns; system prompt and settings stay."""
        self.turns.clear()
        self.unanswered = None

    def set(self, name: str, text: str) -> None:
        """Change a setting; `stop none` takes all stop strings back. Raises InvalidField."""
        if name == "mode":
            self.completes = _mode(text)
        elif name == "stop":
            self.stop = () if text == "none" else (*self.stop, text)
        elif name in SETTINGS:
            changed: dict[str, Any] = {name: parse_setting(name, text)}
            self.sampling = replace(self.sampling, **changed)
        else:
            known = ["mode", "stop", *SETTINGS]
            near = nearest(name, known)
            raise InvalidField(
                f"there is no setting {name!r:.40}",
                details={"field": name},
                suggestion=f"Did you mean {near}?" if near else f"There are {', '.join(known)}.",
            )

    def settings(self) -> dict[str, object]:
        """Name → value, in the order in which they are shown."""
        mode = "complete" if self.completes else "chat"
        return {"mode": mode, **asdict(self.sampling), "stop": list(self.stop)}

    def as_values(self) -> dict[str, object]:
        """Plain values for a file; `restore` takes them back."""
        turns = [asdict(turn) for turn in self.turns]
        return {"system": self.system, "settings": self.settings(), "turns": turns}

    def restore(self, values: object) -> None:
        """Go on with what was saved. Raises InvalidField and changes nothing where it is something else."""
        saved = _saved(values)
        self.system, self.sampling, self.stop = saved.system, saved.sampling, saved.stop
        self.completes, self.turns, self.unanswered = saved.completes, saved.turns, None


def _mode(text: str) -> bool:
    if text not in ("chat", "complete"):
        raise InvalidField(
            f"mode is chat or complete, not {text!r:.40}",
            details={"field": "mode"},
            suggestion="chat answers each question after all others; complete goes on with each text.",
        )
    return text == "complete"


def _saved(values: object) -> Conversation:
    try:
        return _built(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidField(
            f"that is no saved conversation: {error!r}", suggestion="`/load` lists those there are."
        ) from error


def _built(values: Any) -> Conversation:
    made = Conversation(False, None if values["system"] is None else str(values["system"]))
    settings = dict(values["settings"])
    made.stop = tuple(str(text) for text in settings.pop("stop"))
    for name, value in settings.items():
        made.set(name, "none" if value is None else str(value))
    made.turns = [Turn(str(turn["question"]), str(turn["answer"])) for turn in values["turns"]]
    return made
