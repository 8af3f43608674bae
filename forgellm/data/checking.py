"""Reading a whole dataset once, to report what is in it. One row, one document, one batch are in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from forgellm.data.documents import Document, document_files, read_document_files
from forgellm.data.duplicates import MOST_COMPARED, NearDuplicates
from forgellm.data.example_files import Part, RowFile, row_files
from forgellm.data.preferences import Preference
from forgellm.data.problems import Problem
from forgellm.data.records import Example, Excluded, Record, RecordFile, TextRow
from forgellm.data.report import FileReport, Measure, Report, Tokens, among_first, sentences
from forgellm.data.tallies import Counts, Problems
from forgellm.data.twins import TwinFinder
from forgellm.domain.chat import Message
from forgellm.storage.decisions import Decisions

_BATCH_ITEMS = 256
_BATCH_CHARACTERS = 1 << 20
_KINDS = {None: "unknown", "preference": "preferences", "text": "texts"}

Progress = Callable[[int, int], None]


def check(
    folder: Path,
    *,
    decisions: Decisions,
    measure: Measure | None = None,
    progress: Progress | None = None,
    heed: Callable[[Problem], None] | None = None,
    most_compared: int = MOST_COMPARED,
) -> Report:
    """Everything there is to say about a dataset before it is trained on. Raises OSError.

    `progress` is told (bytes read, bytes in all), as far as they can be told from what was read. `heed` is
    told every problem, of which the report lists only the first. Near duplicates are looked for among the
    first `most_compared` rows and documents.
    """
    tell = progress or (lambda done, total: None)
    check = _Check(folder, decisions, measure, tell, most_compared=most_compared)
    check.problems.heed = heed
    for part in get_args(Part):
        for file in row_files(folder, part=part):
            check.rows(file)
        check.documents(part)
    return check.report()


class _Check:
    def __init__(
        self,
        folder: Path,
        decisions: Decisions,
        measure: Measure | None,
        tell: Progress,
        *,
        most_compared: int,
    ) -> None:
        self._folder, self._decisions, self._measure, self._tell = folder, decisions, measure, tell
        self._files: list[Counts] = []
        self.problems = Problems()
        self._tokens = Tokens(0, 0, 0, 0)
        self._twins = TwinFinder(NearDuplicates(most=most_compared))
        self._waiting: list[tuple[Example | Document, Counts]] = []
        self._characters = 0
        sizes = [file.path.stat().st_size for file in row_files(folder) if file.path.is_file()]
        for part in get_args(Part):
            sizes += [p.stat().st_size for p in document_files(folder, part=part) if p.is_file()]
        self._done, self._total = 0, sum(sizes)

    def rows(self, file: RowFile) -> None:
        """Read a file of rows."""
        opened = RecordFile(file, self._decisions)
        counts = Counts(_described(opened))
        self._files.append(counts)
        for found in opened.records():
            self._take(found, counts, part=file.part)

    def documents(self, part: Part) -> None:
        """Read what is a document as a file."""
        endings: dict[str, Counts] = {}
        for path in document_files(self._folder, part=part):
            counts = endings.setdefault(_ending(path.name), Counts(_of_documents(_ending(path.name), part)))
            counts.excluded += 0 in self._decisions.excluded.get(
                path.relative_to(self._folder).as_posix(), ()
            )
        self._files += endings.values()
        for found in read_document_files(self._folder, decisions=self._decisions, part=part):
            if isinstance(found, Problem) and found.severity == "note":
                self.problems.add(found)
            else:
                name = found.name if isinstance(found, Document) else found.file
                self._take(found, endings[_ending(name)], part=part)

    def report(self) -> Report:
        """What was found, once everything was read."""
        self._measure_waiting()
        self._tell(self._total, self._total)
        files = [counts.final() for counts in self._files]
        same, near, overlap = self._twins.found()
        reasons = self.problems.reasons()
        usable = sum(file.usable for file in files)
        if self._twins.compared < usable:
            said = f"near duplicates were looked for {among_first(self._twins.compared, usable)}"
            self.problems.notes.insert(0, Problem(self._folder.name, None, said, severity="note"))
        report = Report(
            dataset=self._folder.name,
            files=files,
            rows=sum(file.rows for file in files),
            usable=usable,
            compared=self._twins.compared,
            excluded=sum(file.excluded for file in files),
            refused=sum(file.refused for file in files),
            empty=sum(one.count for one in reasons if one.reason.endswith("is empty")),
            tokens=None if self._measure is None else self._tokens,
            duplicates=same,
            near_duplicates=near,
            overlap=overlap,
            problem_count=sum(one.count for one in reasons),
            reasons=reasons,
            problems=self.problems.first,
            notes=self.problems.notes,
            summary=[],
        )
        return replace(report, summary=list(sentences(report)))

    def _take(self, found: Record | Document | Problem, counts: Counts, *, part: Part) -> None:
        if isinstance(found, Problem):
            self.problems.add(found)
            counts.refused += 1
        elif isinstance(found, Excluded):
            counts.excluded += 1
        else:
            item = _item(found)
            text = item.text if isinstance(item, Document) else _spoken(item.messages)
            file = item.name if isinstance(item, Document) else item.file
            counts.usable += 1
            self._twins.add(text, file=file, line=item.line, part=part)
            self._wait(item, counts, size=len(text))

    def _wait(self, item: Example | Document, counts: Counts, *, size: int) -> None:
        self._waiting.append((item, counts))
        self._characters += size
        if len(self._waiting) >= _BATCH_ITEMS or self._characters >= _BATCH_CHARACTERS:
            self._done = min(self._total, self._done + self._characters)
            self._measure_waiting()
            self._tell(self._done, self._total)

    def _measure_waiting(self) -> None:
        waiting, self._waiting, self._characters = self._waiting, [], 0
        if self._measure is None or not waiting:
            return
        for (item, counts), found in zip(waiting, self._measure([one for one, _ in waiting]), strict=True):
            if found.problem is not None:
                name = item.name if isinstance(item, Document) else item.file
                self.problems.add(Problem(name, item.line, found.problem, _TEMPLATE_HINT))
                self._tokens = replace(self._tokens, refused=self._tokens.refused + 1)
                counts.usable, counts.refused = counts.usable - 1, counts.refused + 1
                continue
            self._tokens = Tokens(
                self._tokens.total + found.tokens,
                max(self._tokens.longest, found.tokens),
                self._tokens.cut + found.cut,
                self._tokens.refused,
            )


_TEMPLATE_HINT = "Most templates want user and assistant in turn, with the user first."


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _item(found: Example | Preference | TextRow | Document) -> Example | Document:
    """What is measured: of a preference the answer that was chosen."""
    if isinstance(found, TextRow):
        return Document(found.file, found.text, line=found.line)
    if isinstance(found, Preference):
        return Example((*found.prompt, *found.chosen), found.file, found.line)
    return found


def _spoken(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.content for message in messages)


def _described(opened: RecordFile) -> FileReport:
    recognition = opened.recognition
    whole = 0 in opened.excluded
    return FileReport(
        file=opened.file.relative,
        part=opened.file.part,
        kind=_KINDS.get(recognition.shape, "examples"),
        shape=recognition.shape,
        columns=recognition.columns,
        reason="left out as a whole" if whole else recognition.reason,
        alternatives=recognition.alternatives,
        by_hand=recognition.by_hand,
        layout=opened.layout,
        **_NOTHING_YET,
    )


def _of_documents(ending: str, part: Part) -> FileReport:
    return FileReport(
        file=f"*{ending}",
        part=part,
        kind="documents",
        shape=None,
        columns={},
        reason="one document each",
        alternatives=(),
        by_hand=False,
        layout=None,
        **_NOTHING_YET,
    )


_NOTHING_YET = {"rows": 0, "usable": 0, "excluded": 0, "refused": 0}
