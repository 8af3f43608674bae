"""Rows of a dataset: which are read, and what is said about those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

from forgellm.data.example_files import RowFile, row_files
from forgellm.data.problems import Problem
from forgellm.data.records import Example, read_examples
from forgellm.storage.decisions import Decisions

GOOD = b'{"prompt": "When?", "completion": "On Monday."}\n'


def read(folder: Path, data: bytes):
    path = folder / "train.jsonl"
    path.write_bytes(data)
    return sorted_out(row_files(folder))


def sorted_out(files, **decided):
    found = list(read_examples(files, decisions=Decisions(**decided)))
    return [f for f in found if isinstance(f, Example)], [f for f in found if isinstance(f, Problem)]


def test_rows_around_a_bad_one_are_read_and_all_bad_ones_are_named(tmp_path):
    examples, problems = read(tmp_path, GOOD + b"oops\n" + GOOD + b"{}\n" + GOOD)
    assert [e.line for e in examples] == [1, 3, 5]
    assert [p.line for p in problems] == [2, 4]


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


def test_what_was_thought_before_an_answer_is_part_of_it(tmp_path):
    answers = [
        {"content": "b", "reasoning_content": " Hm.\n"},
        {"content": "b", "thinking": "Hm."},
        {"content": "<think>So.</think>b", "reasoning": "Hm."},
        {"content": "b", "reasoning_content": None},
    ]
    said = [[{"role": "user", "content": "a"}, {"role": "assistant", **answer}] for answer in answers]
    examples, problems = read(tmp_path, "\n".join(json.dumps({"messages": one}) for one in said).encode())
    thought = "<think>\nHm.\n</think>\n\nb"
    assert problems == []
    assert [e.messages[1].content for e in examples] == [thought, thought, "<think>So.</think>b", "b"]


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
