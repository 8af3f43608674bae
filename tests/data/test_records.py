"""Rows of a dataset: which are read, and what is said about those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgellm.data.example_files import RowFile, row_files
from forgellm.data.problems import Problem
from forgellm.data.records import Example, read_examples
from forgellm.data.tables.row import LONGEST_ROW
from forgellm.domain.chat import Message
from forgellm.storage.decisions import Decisions

GOOD = b'{"prompt": "When?", "completion": "On Monday."}\n'
PAIR = (Message("user", "When?"), Message("assistant", "On Monday."))

HARMLESS = {
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "windows line ends": GOOD.replace(b"\n", b"\r\n"),
    "blank lines": b"\n  \n\r\n" + GOOD + b"\n\t\n",
    "no newline at the end": GOOD.rstrip(b"\n"),
    "further keys": b'{"id": 7, "prompt": "When?", "completion": "On Monday.", "meta": {"a": null}}\n',
    "escapes": b'{"prompt": "Wh\\u0065n?", "completion": "On Monday."}\n',
    "white space around": b'   {"prompt": "When?", "completion": "On Monday."}   \n',
}

FAULTS = {
    "utf-16": (GOOD.decode().encode("utf-16"), None, "UTF-16"),
    "utf-32": (GOOD.decode().encode("utf-32"), None, "UTF-32"),
    "utf-16 without a mark": (GOOD.decode().encode("utf-16-le"), 1, "NUL"),
    "latin-1": (GOOD + '{"prompt": "é", "completion": "b"}\n'.encode("latin-1"), 2, "byte 0xe9 at column 13"),
    "NUL byte": (GOOD + b'{"prompt": "a\0", "completion": "b"}\n', 2, "NUL"),
    "NUL escape": (b'{"prompt": "a\\u0000", "completion": "b"}\n', 1, "'prompt' has a NUL"),
    "half a line": (GOOD + b'{"prompt": "When?", "compl', 2, "is not JSON"),
    "not JSON": (b"When? On Monday.\n", 1, "is not JSON"),
    "two objects on a line": (GOOD.strip() + GOOD, 1, "Extra data"),
    "single quotes": (b"{'prompt': 'a', 'completion': 'b'}\n", 1, "is not JSON"),
    "an array of objects": (b"[\n" + GOOD + b"]\n", 1, "JSON array"),
    "an array as a row": (GOOD + b'["a", "b"]\n', 2, "is an array, not an object"),
    "a number as a row": (b"17\n", 1, "is a number, not an object"),
    "null as a row": (b"null\n", 1, "is null"),
    "text as a row": (b'"When?"\n', 1, "is text"),
    "deep nesting": (b'{"prompt": ' + b"[" * 100_000 + b"\n", 1, "deeply nested"),
    "a number without end": (b'{"prompt": ' + b"9" * 10_000 + b"}\n", 1, "number too long"),
    "missing key": (b'{"prompt": "When?"}\n', 1, "'completion' is missing"),
    "unknown keys": (b'{"wann": "When?", "dann": "Now"}\n', 1, "none of the known keys"),
    "null": (b'{"prompt": "When?", "completion": null}\n', 1, "'completion' is null"),
    "number": (b'{"prompt": "When?", "completion": 17}\n', 1, "'completion' is a number"),
    "NaN": (b'{"prompt": "When?", "completion": NaN}\n', 1, "'completion' is a number"),
    "true": (b'{"prompt": true, "completion": "a"}\n', 1, "'prompt' is true or false"),
    "empty text": (b'{"prompt": "When?", "completion": ""}\n', 1, "'completion' is empty"),
    "blank text": (b'{"prompt": " \\n\\t ", "completion": "a"}\n', 1, "'prompt' is empty"),
    "lone surrogate": (b'{"prompt": "\\ud83d", "completion": "a"}\n', 1, "lone surrogate"),
    "instruction without output": (b'{"instruction": "Do it"}\n', 1, "'output' is missing"),
    "input that is a list": (
        b'{"instruction": "a", "input": [1], "output": "b"}\n',
        1,
        "'input' is an array",
    ),
    "messages that are text": (b'{"messages": "hello"}\n', 1, "'messages' is text, not a list"),
    "no messages": (b'{"messages": []}\n', 1, "no assistant message"),
    "no answer": (b'{"messages": [{"role": "user", "content": "a"}]}\n', 1, "no assistant message"),
    "message that is text": (b'{"messages": ["hello"]}\n', 1, "message 1 is text"),
    "unknown role": (b'{"messages": [{"role": "bot", "content": "a"}]}\n', 1, "role 'bot'"),
    "role that is a list": (b'{"messages": [{"role": [], "content": "a"}]}\n', 1, "role []"),
    "message without content": (
        b'{"messages": [{"role": "assistant"}]}\n',
        1,
        "message 1: 'content' is missing",
    ),
    "empty answer": (
        b'{"messages": [{"role": "assistant", "content": ""}]}\n',
        1,
        "message 1: 'content' is empty",
    ),
}


def read(folder: Path, data: bytes):
    path = folder / "train.jsonl"
    path.write_bytes(data)
    return sorted_out(row_files(folder))


def sorted_out(files, **decided):
    found = list(read_examples(files, decisions=Decisions(**decided)))
    return [f for f in found if isinstance(f, Example)], [f for f in found if isinstance(f, Problem)]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_read(tmp_path, name):
    examples, problems = read(tmp_path, HARMLESS[name])
    assert problems == []
    assert [e.messages for e in examples] == [PAIR]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_file_line_and_reason(tmp_path, name):
    data, line, reason = FAULTS[name]
    _, problems = read(tmp_path, data)
    assert problems[0].file == f"{tmp_path.name}/train.jsonl"
    assert problems[0].line == line
    assert reason in problems[0].reason


def test_the_corpus_of_faults_has_what_was_promised():
    assert len(FAULTS) + len(HARMLESS) >= 24


def test_rows_around_a_bad_one_are_read_and_all_bad_ones_are_named(tmp_path):
    examples, problems = read(tmp_path, GOOD + b"oops\n" + GOOD + b"{}\n" + GOOD)
    assert [e.line for e in examples] == [1, 3, 5]
    assert [p.line for p in problems] == [2, 4]


def test_a_giant_line_is_refused_without_stopping_the_rest(tmp_path):
    giant = b'{"prompt": "' + b"a" * (LONGEST_ROW + 5) + b'", "completion": "b"}\n'
    examples, problems = read(tmp_path, giant + GOOD)
    assert [(p.line, p.reason) for p in problems] == [(1, "is longer than 16 MiB")]
    assert [e.line for e in examples] == [2]


def test_a_long_line_below_the_limit_is_read(tmp_path):
    examples, problems = read(tmp_path, json.dumps({"prompt": "a " * 500_000, "completion": "b"}).encode())
    assert problems == []
    assert len(examples[0].messages[0].content) == 1_000_000


def test_every_shape_becomes_messages(tmp_path):
    rows = [
        {"messages": [{"role": "system", "content": "s"}, *_dicts("a", "b"), *_dicts("c", "d")]},
        {"prompt": "a", "completion": "b"},
        {"instruction": "a", "input": "more", "output": "b"},
        {"instruction": "a", "input": "", "output": "b"},
        {"instruction": "a", "output": "b"},
    ]
    examples, problems = read(tmp_path, "\n".join(map(json.dumps, rows)).encode())
    assert problems == []
    assert [[(m.role, m.content) for m in e.messages] for e in examples] == [
        [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
        [("user", "a"), ("assistant", "b")],
        [("user", "a\n\nmore"), ("assistant", "b")],
        [("user", "a"), ("assistant", "b")],
        [("user", "a"), ("assistant", "b")],
    ]


def test_an_empty_system_message_and_what_follows_the_last_answer_are_left_out(tmp_path):
    row = {
        "messages": [{"role": "system", "content": ""}, *_dicts("a", "b"), {"role": "user", "content": "c"}]
    }
    [one], problems = read(tmp_path, json.dumps(row).encode())
    assert problems == []
    assert [m.content for m in one.messages] == ["a", "b"]


def test_a_misspelt_key_is_recognised(tmp_path):
    _, [problem] = read(tmp_path, b'{"prompt": "a", "completions": "b"}\n')
    assert "'completion' by 'completions'" in problem.suggestion
    _, [problem] = read(tmp_path, b'{"message": []}\n')
    assert "'messages'" in problem.suggestion


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / "train.jsonl").mkdir()
    _, [problem] = sorted_out([RowFile(tmp_path / "train.jsonl", tmp_path, "train")])
    assert "cannot be read" in problem.reason


def _dicts(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
