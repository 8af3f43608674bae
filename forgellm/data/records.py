"""Files of rows to examples, preferences and texts, one at a time, by the shape that each row has.

Every row is checked; a bad one becomes a `Problem` with file, line and reason. Columns that are no part of a
shape are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from shlex import quote
from typing import TypeVar

from forgellm.data.conversion import check_whole, messages_in
from forgellm.data.example_files import RowFile
from forgellm.data.files import misplaced
from forgellm.data.preferences import Preference, preference
from forgellm.data.problems import BadRow, Problem, command, likely, quoted
from forgellm.data.recognition import Match, Recognition, match, recognise
from forgellm.data.rows import Row, layout, read_rows
from forgellm.data.shapes import PARTS, SHAPES, Choice, choose
from forgellm.data.turns import text_in
from forgellm.domain.chat import Message
from forgellm.storage.decisions import Decisions

UNNAMED = "column "
"""How the columns of a file without a header are called; who maps one has said that there is none."""


@dataclass(frozen=True)
class Example:
    """One conversation that ends with an assistant's turn, and where it was read.

    The first `given` answers in it are what the others follow from, and are not learned.
    """

    messages: tuple[Message, ...]
    file: str
    line: int
    given: int = 0


@dataclass(frozen=True)
class TextRow:
    """A text that is a document of its own, and where it was read."""

    text: str
    file: str
    line: int


@dataclass(frozen=True)
class Excluded:
    """A row that was left out by decision."""

    file: str
    line: int


def sides(one: Preference) -> tuple[Example, Example]:
    """The chosen and the rejected answer, each after what was asked."""
    given = sum(message.role == "assistant" for message in one.prompt)
    chosen, rejected = ((*one.prompt, *side) for side in (one.chosen, one.rejected))
    return Example(chosen, one.file, one.line, given), Example(rejected, one.file, one.line, given)


Record = Example | Preference | TextRow | Excluded


class RecordFile:
    """A file of rows with what was decided about it. It is read anew at each call."""

    def __init__(self, file: RowFile, decisions: Decisions) -> None:
        self.file = file
        self.excluded = frozenset(decisions.excluded.get(file.relative, ()))
        self._shape = decisions.shapes.get(file.relative)
        self._columns = decisions.columns.get(file.relative, {})

    @cached_property
    def recognition(self) -> Recognition:
        """Its shape, from its first rows. A decision that makes no sense leaves it without one."""
        try:
            choice = self._choice
        except BadRow as bad:
            return Recognition(None, {}, bad.reason, by_hand=True)
        return recognise((row for row in self.rows() if isinstance(row, Row)), choice)

    @property
    def layout(self) -> str | None:
        """How a .csv or .tsv is read, in words; None for other files and for one that cannot be read."""
        try:
            return None if self._misplaced else layout(self.file.path, header=self._header)
        except OSError:
            return None

    def rows(self) -> Iterator[Row | Problem]:
        """As they are written in the file, those that are left out as well."""
        if self._misplaced is not None:
            hint = "Copy the file itself into the dataset."
            return iter([Problem(self.file.name, None, self._misplaced, hint)])
        return read_rows(self.file.path, self.file.name, header=self._header)

    def records(self) -> Iterator[Record | Problem]:
        """What every row comes to, in order; nothing of a file that is left out as a whole.

        Where the shape is not recognised there is one problem for all rows.
        """
        if 0 in self.excluded:
            return
        try:
            choice = self._choice
        except BadRow as bad:
            yield bad.at(self.file.name, None)
            return
        for row in self.rows():
            if row.line is not None and row.line in self.excluded:
                yield Excluded(self.file.name, row.line)
            elif isinstance(row, Problem):
                yield row
            else:
                yield _record(row, self._match(row, choice))
                if self.recognition.shape is None:
                    return

    def _match(self, row: Row, choice: Choice | None) -> Match | None:
        """A row that has no part of any shape lacks those of its file's."""
        found = match(row.values, choice)
        shape = self.recognition.shape
        return match(row.values, Choice(shape, {})) if found is None and shape is not None else found

    @property
    def _misplaced(self) -> str | None:
        return misplaced(self.file.path, self.file.dataset)

    @property
    def _choice(self) -> Choice | None:
        return choose(self._shape, self._columns)

    @property
    def _header(self) -> bool | None:
        unnamed = any(column.startswith(UNNAMED) for column in self._columns.values())
        return False if unnamed else None


def read_examples(files: Iterable[RowFile], *, decisions: Decisions) -> Iterator[Example | Problem]:
    """Every example and every problem of the files, in order.

    A file of texts is passed over with a note. Preferences are a problem, one for each file of them: they say
    which answer is better, and not that it is good.
    """
    for file in files:
        opened = RecordFile(file, decisions)
        shape = None if 0 in opened.excluded else opened.recognition.shape
        if shape == "text":
            reason = "holds texts, not examples, so training_type ift passes over it"
            yield Problem(file.name, None, reason, severity="note")
        elif shape == "preference":
            yield _preferences(file)
        else:
            yield from _only(opened, Example)


def read_texts(files: Iterable[RowFile], *, decisions: Decisions) -> Iterator[TextRow | Problem]:
    """Every text and every problem of the files, in order. A file of examples is passed over with a note."""
    for file in files:
        opened = RecordFile(file, decisions)
        if 0 in opened.excluded:
            continue
        if opened.recognition.shape == "text":
            yield from _only(opened, TextRow)
        else:
            reason = f"holds no texts ({opened.recognition.reason}), so training_type cpt passes over it"
            hint = f"If a column holds texts: {command('map', file.name, 'text=COLUMN')}"
            yield Problem(file.name, None, reason, hint, severity="note")


def read_preferences(files: Iterable[RowFile], *, decisions: Decisions) -> Iterator[Preference | Problem]:
    """Every preference and every problem of the files, in order. Other files are passed over with a note."""
    for file in files:
        opened = RecordFile(file, decisions)
        if 0 in opened.excluded:
            continue
        if opened.recognition.shape == "preference":
            yield from _only(opened, Preference)
        else:
            reason = f"holds no preferences ({opened.recognition.reason}), so objective dpo passes over it"
            by_hand = command("map", file.name, "prompt=COLUMN chosen=COLUMN rejected=COLUMN")
            hint = f"If columns hold them: {by_hand}"
            yield Problem(file.name, None, reason, hint, severity="note")


def _preferences(file: RowFile) -> Problem:
    reason = "holds preferences (a chosen and a rejected answer), which only objective dpo trains on"
    convert = f"forgellm datasets convert {quote(file.dataset.name)} NEW_NAME"
    leave_out = command("exclude", file.name)
    hint = (
        "Train with objective dpo; or write a dataset with the chosen answers: "
        f"{convert}; or leave the file out: {leave_out}"
    )
    return Problem(file.name, None, reason, hint)


_Kind = TypeVar("_Kind", Example, Preference, TextRow)


def _only(opened: RecordFile, kind: type[_Kind]) -> Iterator[_Kind | Problem]:
    """Its records of one kind; of another kind each is a problem."""
    for found in opened.records():
        if isinstance(found, kind | Problem):
            yield found
        elif not isinstance(found, Excluded):
            reason = f"is {_SAID[type(found)]}, unlike the rows that the file begins with"
            yield Problem(found.file, found.line, reason, "Move it into a file of its own.")


_SAID: Mapping[type, str] = {
    Example: "an example",
    TextRow: "a text without a question",
    Preference: "a preference",
}


def _record(row: Row, found: Match | None) -> Record | Problem:
    try:
        if found is None:
            raise _unknown(row)
        check_whole(row.values, found)
        if found.shape == "text":
            return TextRow(text_in(row.values, dict(found.columns)["text"]), row.file, row.line)
        if found.shape == "preference":
            return preference(row.values, dict(found.columns), file=row.file, line=row.line)
        return Example(messages_in(row.values, found), row.file, row.line)
    except BadRow as bad:
        return bad.at(row.file, row.line)


def _unknown(row: Row) -> BadRow:
    columns = ", ".join(map(quoted, list(row.values)[:5])) or "none"
    known = {part for shape in SHAPES for part in PARTS[shape]}
    near = next((n for n in (likely(column, known) for column in list(row.values)[:5]) if n), None)
    hint = f" Did you mean {near!r}?" if near else ""
    by_hand = command("map", row.file, "prompt=COLUMN completion=COLUMN")
    suggestion = f"Say which column is which: {by_hand} (or text=COLUMN), or leave the file out.{hint}"
    return BadRow(f"has none of the known keys (it has {columns})", suggestion)
