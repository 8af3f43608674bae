"""Which rows of a dataset could be left out: those that cannot be used, or those on some lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from forgellm.data.checking import check
from forgellm.data.lengths import Measurer
from forgellm.data.problems import Problem
from forgellm.data.records import UNNAMED, RecordFile
from forgellm.data.rows import Row
from forgellm.domain.errors import InvalidDataset
from forgellm.jobs.asked import Asked, Dataset, not_there
from forgellm.storage.decisions import WHOLE_FILE, Decisions
from forgellm.storage.models import find_model

_FIRST_ROWS = 200
_MOST_COLUMNS = 1_000
# A row that is too long is cut, not refused.
_ANY_LENGTH = 1 << 30


def refused(asked: Asked, *, dataset: str, file: str | None, model: str | None) -> dict[str, object]:
    """`lines`: by file, where rows begin that cannot be used; 0 where nothing of a file can be.

    With a model, those that its chat template refuses as well. Raises InvalidDataset where a row that can be
    used begins on the same line.
    """
    found = Dataset(asked, dataset)
    if file is not None and file not in _names(found):
        raise not_there(found, file)
    seen = _Refused(found, file)
    measure = None
    if model is not None:
        base = find_model(asked.workspace, asked.hub_cache, model)
        measure = Measurer(asked.tokenizers.of(base.path), max_seq_length=_ANY_LENGTH)
    check(found.folder, decisions=found.decisions, measure=measure, progress=asked.tell, heed=seen.take)
    return {"lines": {name: seen.lines_of(name) for name in sorted(seen.counts)}}


def columns(asked: Asked, *, dataset: str, file: str) -> dict[str, object]:
    """The columns of the first rows of a file, whatever was decided about it; of cells also by number."""
    found = Dataset(asked, dataset)
    opened = RecordFile(found.row_file(file), Decisions())
    rows = [row for row in islice(opened.rows(), _FIRST_ROWS) if isinstance(row, Row)]
    named = dict.fromkeys(column for row in rows for column in islice(row.values, _MOST_COLUMNS))
    if opened.layout is not None and rows:
        named |= dict.fromkeys(f"{UNNAMED}{number}" for number in range(1, len(rows[0].values) + 1))
    return {"columns": list(named)}


def located(asked: Asked, *, dataset: str, file: str, lines: Sequence[int]) -> dict[str, object]:
    """How many rows of a file begin on the lines, and the first `missing` ones, where none does."""
    found = Dataset(asked, dataset)
    begun = _begun(found, file, set(lines))
    return {"rows": begun.total(), "missing": [line for line in lines if line not in begun][:20]}


class _Refused:
    """How many rows that cannot be used begin on each line of each file."""

    def __init__(self, found: Dataset, file: str | None) -> None:
        self._found, self._file = found, file
        self._whole = {
            one.relative for one in found.row_files if found.records(one).recognition.shape is None
        }
        self._whole |= found.document_names.keys()
        self.counts: dict[str, Counter[int]] = {}

    def take(self, problem: Problem) -> None:
        """The next row that cannot be used."""
        name = problem.file.partition("/")[2]
        if name and self._file in (None, name):
            line = problem.line if problem.line and name not in self._whole else WHOLE_FILE
            self.counts.setdefault(name, Counter())[line] += 1

    def lines_of(self, name: str) -> list[int]:
        counts = self.counts[name]
        if WHOLE_FILE in counts:
            return [WHOLE_FILE]
        # Only in a .json file may several begin on one line.
        convert = f"forgellm datasets convert {self._found.folder.name} NEW_NAME"
        if name.lower().endswith(".json") and _begun(self._found, name, set(counts)) != counts:
            raise InvalidDataset(
                f"in {name}, rows that can be used begin on the same lines as rows that cannot",
                details={"file": name},
                suggestion=f"Write the others into a new dataset: {convert}",
            )
        return sorted(counts)


def _begun(found: Dataset, file: str, lines: set[int]) -> Counter[int]:
    rows = found.records(found.row_file(file)).rows()
    return Counter(row.line for row in rows if row.line is not None and row.line in lines)


def _names(found: Dataset) -> set[str]:
    return {one.relative for one in found.row_files} | found.document_names.keys()
