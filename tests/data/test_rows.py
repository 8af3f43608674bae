"""Files of rows: which rows they give, on which line each begins, and what is said about what is none."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from forgellm.data.problems import Problem
from forgellm.data.rows import Row, layout, read_rows
from forgellm.data.tables.row import LONGEST_ROW
from forgellm.data.text import SAVE_AS_UTF8

TWO = [{"question": "When?", "answer": "On Monday."}, {"question": "Who?", "answer": "Ada, Grace"}]

SAME_ROWS = {
    "lines.jsonl": "\n".join(map(json.dumps, TWO)),
    "array.json": json.dumps(TWO),
    "indented.json": json.dumps(TWO, indent=2),
    "wrapped.json": json.dumps({"version": 1, "notes": [], "data": TWO, "more": {"a": [1]}}),
    "lines.json": "\n".join(map(json.dumps, TWO)),
    "objects one after another.json": "\n".join(json.dumps(row, indent=1) for row in TWO),
    "trailing comma.json": json.dumps(TWO)[:-1] + ",\n]",
    "commas.csv": 'question,answer\nWhen?,On Monday.\nWho?,"Ada, Grace"\n',
    "windows.csv": '\ufeffquestion,answer\r\nWhen?,On Monday.\r\nWho?,"Ada, Grace"\r\n',
    "old mac.csv": 'question,answer\rWhen?,On Monday.\rWho?,"Ada, Grace"\r',
    "semicolons.csv": "question;answer\nWhen?;On Monday.\nWho?;Ada, Grace\n",
    "bars.csv": "question|answer\nWhen?|On Monday.\nWho?|Ada, Grace\n",
    "blanks after commas.csv": 'question, answer\nWhen?, On Monday.\nWho?, "Ada, Grace"\n',
    "blank lines.csv": '\n\nquestion,answer\n\nWhen?,On Monday.\n\nWho?,"Ada, Grace"\n\n',
    "tabs.tsv": "question\tanswer\nWhen?\tOn Monday.\nWho?\tAda, Grace\n",
    "quoted.tsv": 'question\tanswer\n"When?"\tOn Monday.\nWho?\t"Ada, Grace"\n',
    "SHOUTING.CSV": 'question,answer\nWhen?,On Monday.\nWho?,"Ada, Grace"\n',
}


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(folder: Path, name: str, data: str | bytes) -> tuple[list[Row], list[Problem]]:
    found = list(read_rows(write(folder, name, data), f"d/{name}"))
    return [f for f in found if isinstance(f, Row)], [f for f in found if isinstance(f, Problem)]


@pytest.mark.parametrize("name", SAME_ROWS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    rows, problems = read(tmp_path, name, SAME_ROWS[name])
    assert problems == []
    assert [row.values for row in rows] == TWO
    assert {row.file for row in rows} == {f"d/{name}"}


def test_parquet_gives_the_rows_with_their_numbers_and_keeps_lists(tmp_path):
    table = pyarrow.table({"messages": [[{"role": "user", "content": str(n)}] for n in range(200)]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=30)
    rows = list(read_rows(tmp_path / "a.parquet", "d/a.parquet"))
    assert [row.line for row in rows] == list(range(1, 201))
    assert rows[150].values == {"messages": [{"role": "user", "content": "150"}]}


LINES = {
    "a.csv": ('a,b\n"one\ntwo",x\n\ny,"z\n\n"\nlast,1\n', [2, 5, 8]),
    "a.json": ('[\n\n{"a": 1},\n{"a":\n2}\n, {"a": 3}]', [3, 4, 6]),
    "a.jsonl": ('\n{"a": 1}\n\n\n{"a": 2}', [2, 5]),
}


@pytest.mark.parametrize("name", LINES)
def test_a_row_has_the_line_that_it_begins_on(tmp_path, name):
    data, lines = LINES[name]
    rows, problems = read(tmp_path, name, data)
    assert problems == []
    assert [row.line for row in rows] == lines


def test_one_object_is_one_row_even_with_lists_in_it(tmp_path):
    row = {"prompt": "a", "completion": "b", "tags": ["x", "y"]}
    assert [r.values for r in read(tmp_path, "a.json", json.dumps(row))[0]] == [row]
    row = {"messages": [{"role": "user", "content": "a"}]}
    assert [r.values for r in read(tmp_path, "b.json", json.dumps(row))[0]] == [row]


def test_a_table_without_a_header_has_numbered_columns_and_says_so(tmp_path):
    path = write(tmp_path, "a.csv", "When is it?,On Monday.\nWho was it?,Ada\n")
    assert [row.values for row in read_rows(path, "a.csv")] == [
        {"column 1": "When is it?", "column 2": "On Monday."},
        {"column 1": "Who was it?", "column 2": "Ada"},
    ]
    assert layout(path) == "cells between commas, no row names the columns"


def test_a_title_above_the_names_of_the_columns_is_passed_over_and_told(tmp_path):
    sheet = '"Answers, as of May",,\n,,\nid,question,answer\n1,When?,Monday\n'
    rows, problems = read(tmp_path, "a.csv", sheet)
    assert [(row.line, row.values) for row in rows] == [
        (4, {"id": "1", "question": "When?", "answer": "Monday"})
    ]
    assert problems == []
    said = "row 3 names the columns and the 2 rows above it are passed over"
    assert layout(tmp_path / "a.csv") == f"cells between commas, {said}"


def test_a_line_that_tells_excel_the_separator_is_no_row(tmp_path):
    rows, problems = read(tmp_path, "a.csv", "sep=;\r\nquestion;answer\r\nWhen, and where?;Monday\r\n")
    assert [(row.line, row.values) for row in rows] == [
        (3, {"question": "When, and where?", "answer": "Monday"})
    ]
    assert problems == []


@pytest.mark.parametrize("table", ["When is it?,\nWho,Ada\n", "a,,\nb,,\n", "1,,\n2,When is it?,3\n"])
def test_rows_with_nothing_but_their_first_cell_are_no_title_where_no_names_follow(tmp_path, table):
    rows, _ = read(tmp_path, "a.csv", table)
    assert len(rows) == 2


def test_whether_there_is_a_header_can_be_said(tmp_path):
    path = write(tmp_path, "a.csv", "cat,chat\ndog,chien\n")
    assert [row.values for row in read_rows(path, "a.csv")] == [{"cat": "dog", "chat": "chien"}]
    assert len(list(read_rows(path, "a.csv", header=False))) == 2


def test_quotation_marks_between_tabs_are_characters_unless_cells_are_quoted(tmp_path):
    stray = 'question\tanswer\n"When" is it?\tMonday\n"Who\tAda\nis it?"\tGrace\n'
    rows, problems = read(tmp_path, "stray.tsv", stray)
    assert [row.values["question"] for row in rows] == ['"When" is it?', '"Who', 'is it?"']
    assert problems == []
    assert str(layout(tmp_path / "stray.tsv")).endswith("a quotation mark is a character like others")
    quoted = 'question\tanswer\n"When\nis\tit?"\tMonday\n"So ""he"" said"\tAda\n'
    rows, _ = read(tmp_path, "quoted.tsv", quoted)
    assert [row.values["question"] for row in rows] == ["When\nis\tit?", 'So "he" said']


def test_cells_that_are_missing_at_the_end_are_missing_in_the_row(tmp_path):
    rows, problems = read(tmp_path, "a.csv", "q,a,note\nx,y\n")
    assert (rows[0].values, problems) == ({"q": "x", "a": "y"}, [])


def test_a_column_without_a_name_is_the_index_that_pandas_writes(tmp_path):
    rows, _ = read(tmp_path, "a.csv", ",prompt,completion\n0,a,b\n")
    assert rows[0].values == {"column 1": "0", "prompt": "a", "completion": "b"}


FAULTS = {
    "a number in an array": ("a.json", '[{"a": 1},\n7,\n{"a": 2}]', 2, "is a number, not an object", 2),
    "an array cut off": ("a.json", '[{"a": 1},\n{"a": 2', 2, "is not JSON", 1),
    "an array not closed": ("a.json", '[{"a": 1},\n{"a": 2}\n', 3, "the file ends where", 2),
    "something behind an array": ("a.json", '[{"a": 1}]\nx', 2, "'x' stands behind", 1),
    "no comma": ("a.json", '[{"a": 1}\n{"a": 2}]', 2, "'{' stands where", 1),
    "two lists of rows": (
        "a.json",
        '{"train": [{"a": 1}],\n"test": [{"a": 2}]}',
        2,
        "more than one list of rows: 'train' and 'test'",
        1,
    ),
    "no JSON at all": ("a.json", "hello", 1, "is not JSON", 0),
    "deep nesting in .json": ("a.json", '{"a": ' + "[" * 100_000, 1, "deeply nested", 0),
    "another encoding in .json": ("a.json", '[{"a": "\xe9t\xe9"}]'.encode("latin-1"), 1, "byte 0xe9", 0),
    "NUL in .json": ("a.json", b'[{"a": 1}, {"a": "\0"}]', 1, "is not JSON", 1),
    "an open quote": ("a.csv", 'a,b\nc,d\ne,"open\nf,g\n', 3, "does not end before the file", 1),
    "text behind a quote": ("a.csv", 'a,b\n"c"x,d\ne,f\n', 2, "not a row of cells", 1),
    "too many cells": ("a.csv", "a,b\nc,d\ne,f,g\nh,i\n", 3, "has 3 cells, and the first row has 2", 2),
    "two columns of one name": ("a.csv", "a,a\nb,c\n", 1, "has 2 columns called 'a'", 0),
    "UTF-16": ("a.csv", "a,b\nc,d\n".encode("utf-16"), None, "is UTF-16, not UTF-8", 0),
    "an empty parquet file": ("a.parquet", b"", 1, "not a parquet file", 0),
    "a parquet file cut off": ("a.parquet", b"PAR1" + b"x" * 50, 1, "not a parquet file", 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_row_is_named_with_its_line_and_the_others_are_read(tmp_path, fault):
    name, data, line, reason, others = FAULTS[fault]
    rows, problems = read(tmp_path, name, data)
    assert [(p.file, p.line) for p in problems] == [(f"d/{name}", line)]
    assert reason in problems[0].reason
    assert len(rows) == others


def test_a_byte_that_is_not_utf_8_is_told_with_what_the_file_looks_like(tmp_path):
    french = "Où est passée la clé ? Elle était près de la fenêtre, à côté du café.\n" * 3
    rows, [problem] = read(tmp_path, "a.csv", f'question,answer\n"{french}",Là\nb,c\n'.encode("cp1252"))
    assert problem.line == 2
    assert problem.reason.endswith("the file looks like Windows-1252")
    assert problem.suggestion == SAVE_AS_UTF8
    assert [row.line for row in rows] == [6]


def test_a_giant_row_is_refused_and_the_next_ones_are_read(tmp_path):
    giant = "a" * (LONGEST_ROW + 5)
    for name, data in (
        ("a.csv", f"q,a\n{giant},b\nc,d\n"),
        ("a.json", f'[\n{{"q": "{giant}"}}\n,{{"q": "c"}}]'),
        ("a.jsonl", f'\n{{"q": "{giant}"}}\n{{"q": "c"}}\n'),
    ):
        [row], [problem] = read(tmp_path, name, data)
        assert (problem.line, problem.reason) == (2, "is longer than 16 MiB")
        assert row.values["q"] == "c"


def test_a_quote_that_is_never_closed_does_not_take_the_whole_file_into_memory(tmp_path):
    path = write(tmp_path, "a.csv", 'q,a\n"b,c\n' + ("d" * 1000 + ",e\n") * 6_000)
    tracemalloc.start()
    try:
        problems = [f for f in read_rows(path, "d/a.csv") if isinstance(f, Problem)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert problems[0].line == 2
    assert "a quoted cell does not end" in problems[0].reason
    assert peak < 6 * LONGEST_ROW


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_rows_are_read_in_constant_memory(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    rows = ({"question": f"{n} " + "q" * 500, "answer": "a" * 500} for n in range(8_000))
    _WRITE[suffix](path, rows)
    tracemalloc.start()
    try:
        count = sum(isinstance(row, Row) for row in read_rows(path, "d/a"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 8_000
    assert peak < 2**20


def _write_lines(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)))


def _write_array(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text(f"[{','.join(map(json.dumps, rows))}]")


def _write_table(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text("question,answer\n" + "\n".join(f'{row["question"]},"{row["answer"]}"' for row in rows))


def _write_parquet(path: Path, rows: Iterator[dict[str, str]]) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


_WRITE = {".jsonl": _write_lines, ".json": _write_array, ".csv": _write_table, ".parquet": _write_parquet}
