"""The report of a dataset: what is counted, what is listed, and what a person reads first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from forgellm.data.checking import check
from forgellm.data.documents import Document
from forgellm.data.records import Example
from forgellm.data.report import LISTED, Measured, Report
from forgellm.storage.decisions import Decisions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows in four files with faults, twins and a row left out; two documents."""
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = [{"prompt": f"Where is the town of number {n}?", "completion": f"In {n}."} for n in range(10)]
    rows = [*lines, lines[3], {"prompt": "Why?", "completion": ""}, {"prompt": "Who?"}, {"prompt": "Which?"}]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "valid.csv").write_text("question;answer\nWhere is the town of number 1?;In 1.\nNew?;Yes.\n")
    (folder / "preferences.json").write_text(
        json.dumps([{"prompt": "P", "chosen": "A", "rejected": "B"}, {"prompt": "P", "chosen": "A"}])
    )
    (folder / "odd.jsonl").write_text('{"wann": 1}\n' * 5)
    story = "".join(f"Those who sell {n} at the market come on day {n}. " for n in range(30))
    (folder / "a.md").write_text(story)
    (folder / "b.md").write_text(story + "The end.")
    return folder


@pytest.fixture
def report(folder: Path) -> Report:
    return check(folder, decisions=Decisions(excluded={"train.jsonl": [1]}))


def test_rows_and_documents_are_counted_by_what_became_of_them(report):
    assert {
        (file.file, file.part, file.kind): (file.rows, file.usable, file.excluded, file.refused)
        for file in report.files
    } == {
        ("train.jsonl", "train", "examples"): (14, 10, 1, 3),
        ("valid.csv", "valid", "examples"): (2, 2, 0, 0),
        ("preferences.json", "train", "preferences"): (2, 1, 0, 1),
        ("odd.jsonl", "train", "unknown"): (1, 0, 0, 1),
        ("*.md", "train", "documents"): (2, 2, 0, 0),
    }
    assert (report.rows, report.usable, report.excluded, report.refused) == (21, 15, 1, 5)


def test_problems_are_listed_and_counted_by_reason(report):
    assert report.problem_count == len(report.problems) == 5
    reasons = {one.reason: (one.count, one.file, one.line) for one in report.reasons}
    assert reasons["'completion' is missing"] == (2, "mine/train.jsonl", 13)
    assert reasons["'rejected' is missing"] == (1, "mine/preferences.json", 1)
    assert report.empty == 1


def test_twins_are_named_with_where_they_stand(report):
    [same] = report.duplicates.listed
    assert (same.file, same.line, same.of_line) == ("mine/train.jsonl", 11, 4)
    [near] = report.near_duplicates.listed
    assert (near.file, near.line, near.of_file) == ("mine/b.md", None, "mine/a.md")
    assert (report.duplicates.count, report.near_duplicates.count) == (1, 1)


def test_where_near_duplicates_were_not_looked_for_is_said_plainly(folder):
    whole = check(folder, decisions=Decisions())
    assert whole.compared == whole.usable
    assert not [line for line in whole.summary if "looked for" in line]
    begun = check(folder, decisions=Decisions(), most_compared=2)
    said = f"among the first 2 of {begun.usable} rows and documents only, equal ones among all of them"
    assert [line for line in begun.summary if said in line]
    assert said in begun.notes[0].reason
    assert (begun.duplicates.count, begun.near_duplicates.count) == (whole.duplicates.count, 0)


def test_what_is_in_two_parts_is_told_apart(folder):
    [overlap] = check(folder, decisions=Decisions()).overlap.listed
    assert (overlap.file, overlap.line) == ("mine/valid.csv", 2)
    assert (overlap.of_file, overlap.of_line, overlap.nearly) == ("mine/train.jsonl", 2, False)


def test_every_decision_is_told_with_its_reason(report):
    by_file = {file.file: file for file in report.files}
    assert by_file["valid.csv"].layout == "cells between semicolons, the first row names the columns"
    assert by_file["valid.csv"].columns == {"question": "question", "answer": "answer"}
    assert by_file["odd.jsonl"].reason.startswith("its columns fit none of the known shapes")


def test_it_is_json_and_read_in_a_minute(report):
    assert json.loads(json.dumps(asdict(report)))["usable"] == 15
    assert report.summary[0] == "21 rows and documents: 15 can be used, 5 cannot, 1 left out by hand."
    assert report.summary[1].startswith("2 × 'completion' is missing (first: mine/train.jsonl, line 13).")
    assert len(report.summary) <= 15


def test_a_whole_file_and_a_document_are_left_out(folder):
    excluded = {name: [0] for name in ("odd.jsonl", "preferences.json", "b.md")}
    report = check(folder, decisions=Decisions(excluded=excluded))
    files = {file.file: (file.usable, file.excluded, file.refused) for file in report.files}
    assert files["*.md"] == (1, 1, 0)
    assert files["odd.jsonl"] == (0, 0, 0)
    assert report.problem_count == 3


def words(items: Sequence[Example | Document]) -> list[Measured]:
    """A measure that counts words, cuts at ten and refuses one question."""
    found = []
    for item in items:
        text = item.text if isinstance(item, Document) else " ".join(m.content for m in item.messages)
        count = len(text.split())
        refused = "the template refuses it" if "number 5?" in text else None
        found.append(Measured(count, count > 10, problem=refused))
    return found


def test_tokens_are_counted_and_what_the_template_refuses_is_a_problem(folder):
    report = check(folder, decisions=Decisions(), measure=words)
    assert report.tokens is not None
    assert (report.tokens.longest, report.tokens.cut, report.tokens.refused) == (332, 2, 1)
    assert ("mine/train.jsonl", 6) in [(p.file, p.line) for p in report.problems]
    [train] = [file for file in report.files if file.file == "train.jsonl"]
    assert (train.usable, train.refused) == (10, 4)


def test_progress_comes_to_its_end(folder):
    told: list[tuple[int, int]] = []
    check(folder, decisions=Decisions(), progress=lambda done, total: told.append((done, total)))
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert told[-1] == (size, size)
    assert all(0 <= done <= total for done, total in told)


def test_of_thousands_of_problems_the_first_are_listed_and_all_are_counted(tmp_path):
    rows = "".join(f'{{"prompt": "{n}", "completion": {n}}}\n' for n in range(1, LISTED + 200))
    (tmp_path / "train.jsonl").write_text(rows)
    report = check(tmp_path, decisions=Decisions())
    assert (report.problem_count, len(report.problems), len(report.reasons)) == (LISTED + 199, LISTED, 1)


def test_an_empty_dataset_has_a_report(tmp_path):
    report = check(tmp_path, decisions=Decisions())
    assert (report.rows, report.duplicates.count, report.files) == (0, 0, [])
