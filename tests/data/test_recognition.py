"""Which shape rows are taken for, by which columns, and how a decision made by hand changes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forgellm.data.checking import check
from forgellm.data.content import stamps
from forgellm.data.documents import read_documents
from forgellm.data.example_files import row_files
from forgellm.data.preferences import Preference
from forgellm.data.problems import BadRow, Problem
from forgellm.data.records import Example, Excluded, RecordFile, TextRow, read_examples, read_texts
from forgellm.data.shapes import choose
from forgellm.storage.decisions import Decisions

ASKED = [{"role": "user", "content": "Q"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "A"}]
TURNS = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]

QA = [("user", "Q"), ("assistant", "A")]

# The keys are columns of public data sets, and what they are taken for.
EXAMPLES = {
    "openai": ("messages", {"messages": ANSWERED}, QA),
    "openai with text parts": (
        "messages",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}, ANSWERED[1]]},
        QA,
    ),
    "openai's developer": (
        "messages",
        {"messages": [{"role": "developer", "content": "S"}, *ANSWERED]},
        [("system", "S"), *QA],
    ),
    "messages under another name": ("messages", {"conversation": ANSWERED, "id": 1}, QA),
    "messages in conversations": ("messages", {"conversations": ANSWERED}, QA),
    "ultrachat": ("messages", {"prompt": "Q", "prompt_id": "1", "messages": ANSWERED}, QA),
    "sharegpt": ("sharegpt", {"id": "1", "conversations": TURNS}, QA),
    "sharegpt in messages": ("sharegpt", {"messages": TURNS}, QA),
    "sharegpt with a system": (
        "sharegpt",
        {"system": "S", "conversations": TURNS},
        [("system", "S"), *QA],
    ),
    "alpaca": ("alpaca", {"instruction": "Q", "input": "", "output": "A", "text": "T"}, QA),
    "alpaca with an input": (
        "alpaca",
        {"instruction": "Q", "input": "I", "output": "A"},
        [("user", "Q\n\nI"), ("assistant", "A")],
    ),
    "dolly": (
        "alpaca",
        {"instruction": "Q", "context": "I", "response": "A", "category": "open"},
        [("user", "Q\n\nI"), ("assistant", "A")],
    ),
    "prompt and completion": ("prompt_completion", {"prompt": "Q", "completion": "A"}, QA),
    "in other words": ("prompt_completion", {"Input": "Q", "Target": "A"}, QA),
    "lists of messages": ("prompt_completion", {"prompt": ASKED, "completion": ANSWERED[1:]}, QA),
    "orca": (
        "question_answer",
        {"id": "1", "system_prompt": "S", "question": "Q", "response": "A"},
        [("system", "S"), *QA],
    ),
    "question and answer": ("question_answer", {"question": "Q", "answer": "A"}, QA),
    "squad": (
        "question_answer",
        {"title": "T", "context": "C", "question": "Q", "answers": {"text": ["A", "B"], "answer_start": [1]}},
        [("user", "C\n\nQ"), ("assistant", "A")],
    ),
    "cnn": (
        "document_summary",
        {"article": "D", "highlights": "A", "id": "1"},
        [("user", "Summarise the following text.\n\nD"), ("assistant", "A")],
    ),
    "samsum": (
        "document_summary",
        {"id": "1", "dialogue": "D", "summary": "A"},
        [("user", "Summarise the following text.\n\nD"), ("assistant", "A")],
    ),
}

PREFERENCES = {
    "texts": {"prompt": "Q", "chosen": "A", "rejected": "B"},
    "texts with a question": {"question": "Q", "chosen": "A", "rejected": "B"},
    "whole conversations": {
        "chosen": ANSWERED,
        "rejected": [*ASKED, {"role": "assistant", "content": "B"}],
    },
    "ultrafeedback": {
        "prompt": "Q",
        "messages": ANSWERED,
        "chosen": ANSWERED,
        "rejected": [*ASKED, {"role": "assistant", "content": "B"}],
        "score_chosen": 8.0,
    },
    "lists of answers": {
        "prompt": ASKED,
        "chosen": ANSWERED[1:],
        "rejected": [{"role": "assistant", "content": "B"}],
    },
    "spoken": {"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"},
}


def opened(folder: Path, *rows: object, name: str = "train.jsonl", **decided: dict) -> RecordFile:
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    [file] = row_files(folder)
    return RecordFile(file, Decisions(**decided))


@pytest.mark.parametrize("name", EXAMPLES)
def test_rows_are_recognised_by_their_columns_and_become_conversations(tmp_path, name):
    shape, row, messages = EXAMPLES[name]
    file = opened(tmp_path, row)
    assert file.recognition.shape == shape
    [example] = file.records()
    assert isinstance(example, Example)
    assert [(m.role, m.content) for m in example.messages] == messages


@pytest.mark.parametrize("name", PREFERENCES)
def test_preferences_are_taken_apart_into_what_was_asked_and_two_answers(tmp_path, name):
    file = opened(tmp_path, PREFERENCES[name])
    assert file.recognition.shape == "preference"
    [found] = file.records()
    assert isinstance(found, Preference)
    assert [m.content for m in found.prompt] == ["Q"]
    assert ([m.content for m in found.chosen], [m.content for m in found.rejected]) == (["A"], ["B"])


FAULTY_PREFERENCES = {
    "no question": ({"chosen": "A", "rejected": "B"}, "does not say what was asked"),
    "no choice": ({"prompt": "Q", "chosen": "A", "rejected": "A"}, "the same answer twice"),
    "an answer missing": ({"prompt": "Q", "chosen": "A"}, "'rejected' is missing"),
    "an answer empty": ({"prompt": "Q", "chosen": "A", "rejected": " "}, "'rejected' is empty"),
    "ends with a question": ({"prompt": "Q", "chosen": ASKED, "rejected": "B"}, "does not end with"),
}


@pytest.mark.parametrize("name", FAULTY_PREFERENCES)
def test_a_preference_that_decides_nothing_is_refused(tmp_path, name):
    row, reason = FAULTY_PREFERENCES[name]
    [problem] = opened(tmp_path, row).records()
    assert isinstance(problem, Problem)
    assert reason in problem.reason


def test_a_table_may_hold_conversations_as_json(tmp_path):
    cell = json.dumps(ANSWERED).replace('"', '""')
    (tmp_path / "train.csv").write_text(f'id,messages\n1,"{cell}"\n2,"[{{""role"": "\n')
    [file] = row_files(tmp_path)
    records = list(RecordFile(file, Decisions()).records())
    assert [(m.role, m.content) for m in records[0].messages] == QA
    assert "looks like a list and is not JSON" in records[1].reason


def test_the_decision_is_told_with_its_reason_and_what_else_it_could_be(tmp_path):
    recognition = opened(tmp_path, *[{"input": "Q", "output": "A", "text": "T"}] * 3).recognition
    assert recognition.shape == "prompt_completion"
    assert recognition.columns == {"prompt": "input", "completion": "output"}
    said = "prompts and their completions: prompt in 'input', completion in 'output'; not used: 'text'"
    assert recognition.reason == said
    assert recognition.alternatives == ("text",)
    assert not recognition.by_hand


def test_a_file_may_mix_shapes_and_says_so(tmp_path):
    file = opened(
        tmp_path, {"prompt": "Q", "completion": "A"}, {"messages": ANSWERED}, {"messages": ANSWERED}
    )
    assert file.recognition.shape == "messages"
    assert file.recognition.reason.endswith("of the first 3 rows 1 prompt_completion")
    assert [[(m.role, m.content) for m in one.messages] for one in file.records()] == [QA, QA, QA]


def test_columns_are_mapped_by_hand(tmp_path):
    row = {"frage": "Q", "antwort": "A", "prompt": "not this", "completion": "nor this"}
    file = opened(tmp_path, row, columns={"train.jsonl": {"question": "frage", "answer": "antwort"}})
    assert file.recognition.shape == "question_answer"
    assert file.recognition.by_hand
    [example] = file.records()
    assert [(m.role, m.content) for m in example.messages] == QA


def test_a_shape_is_decided_by_hand_and_its_columns_are_found(tmp_path):
    row = {"prompt": "Q", "completion": "A", "text": "T"}
    file = opened(tmp_path, row, shapes={"train.jsonl": "text"})
    assert [(type(one), one.text) for one in file.records()] == [(TextRow, "T")]


def test_a_column_mapped_by_hand_that_is_not_there_is_a_problem_of_every_row(tmp_path):
    file = opened(tmp_path, {"a": "Q"}, {"a": "Q"}, columns={"train.jsonl": {"text": "b"}})
    assert [(one.line, one.reason) for one in file.records()] == [
        (1, "'b' is missing"),
        (2, "'b' is missing"),
    ]


def test_a_table_without_a_header_is_mapped_by_the_numbers_of_its_columns(tmp_path):
    (tmp_path / "train.csv").write_text("cat,chat\ndog,chien\n")
    [file] = row_files(tmp_path)
    columns = {"train.csv": {"prompt": "column 1", "completion": "column 2"}}
    first, _ = RecordFile(file, Decisions(columns=columns)).records()
    assert [m.content for m in first.messages] == ["cat", "chat"]


MISTAKES = {
    "an unknown shape": ("alpacca", {}, "'alpacca' is not known", "'alpaca'"),
    "an unknown part": ("alpaca", {"outputs": "b"}, "'outputs' is no part of alpaca", "'output'"),
    "a part of no shape": (None, {"promt": "b"}, "'promt' is no part of any shape", "'prompt'"),
    "half a shape": (None, {"prompt": "b"}, "'prompt' alone is no shape", "Name the shape"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_decision_that_makes_no_sense_is_refused_with_what_was_meant(name):
    shape, columns, reason, suggestion = MISTAKES[name]
    with pytest.raises(BadRow) as caught:
        choose(shape, columns)
    assert reason in caught.value.reason
    assert suggestion in caught.value.suggestion


def test_a_senseless_decision_in_the_file_is_a_problem_and_not_ignored(tmp_path):
    file = opened(tmp_path, {"prompt": "Q", "completion": "A"}, shapes={"train.jsonl": "alpacca"})
    assert file.recognition.shape is None
    [problem] = file.records()
    assert "'alpacca' is not known" in problem.reason


def test_a_file_that_fits_no_shape_has_one_problem_that_says_what_to_do(tmp_path):
    file = opened(tmp_path, *[{"wann": 1, "wo": 2}] * 50)
    assert file.recognition.reason == "its columns fit none of the known shapes (it has 'wann', 'wo')"
    [problem] = file.records()
    assert problem.line == 1
    command = f"forgellm datasets map {tmp_path.name} train.jsonl prompt=COLUMN completion=COLUMN"
    assert command in problem.suggestion


def test_rows_and_files_are_left_out_by_decision(tmp_path):
    rows = [{"prompt": str(n), "completion": "A"} for n in range(1, 5)]
    found = list(opened(tmp_path, *rows, {}, excluded={"train.jsonl": [2, 5]}).records())
    assert [type(one) for one in found] == [Example, Excluded, Example, Example, Excluded]
    assert list(opened(tmp_path, *rows, excluded={"train.jsonl": [0]}).records()) == []


def test_texts_are_for_one_kind_of_training_and_examples_for_the_other(tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"text": "T"}\n')
    (tmp_path / "pairs.csv").write_text("question,answer\nQ,A\n")
    (tmp_path / "preferences.jsonl").write_text(json.dumps(PREFERENCES["texts"]))
    examples = list(read_examples(row_files(tmp_path), decisions=Decisions()))
    assert [(type(one), getattr(one, "severity", None)) for one in examples] == [
        (Example, None),
        (Problem, "error"),
        (Problem, "note"),
    ]
    assert "holds preferences" in examples[1].reason
    texts = list(read_texts(row_files(tmp_path), decisions=Decisions()))
    assert [(type(one), getattr(one, "severity", None)) for one in texts] == [
        (Problem, "note"),
        (Problem, "note"),
        (TextRow, None),
    ]


def test_a_row_of_another_kind_within_a_file_is_a_problem(tmp_path):
    opened(tmp_path, {"prompt": "Q", "completion": "A"}, {"prompt": "Q", "completion": "A"}, {"text": "T"})
    found = list(read_examples(row_files(tmp_path), decisions=Decisions()))
    assert (found[2].line, found[2].reason) == (
        3,
        "is a text without a question, unlike the rows that the file begins with",
    )


REFUSED = {
    "a tool call": ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, "calls a tool"),
    "a tool's answer": ({"role": "tool", "content": "7"}, "has the role 'tool'"),
    "an answer not to be learned": ({"role": "assistant", "content": "A", "weight": 0}, "has the weight 0"),
    "an image": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
        "'content' holds more than text",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_training_would_silently_change_is_refused(tmp_path, name):
    message, reason = REFUSED[name]
    [problem] = opened(tmp_path, {"messages": [*ANSWERED, message, *ANSWERED]}).records()
    assert problem.reason.startswith("message 3")
    assert reason in problem.reason


def test_an_unanswered_question_is_refused(tmp_path):
    [problem] = opened(tmp_path, {"context": "C", "question": "Q", "answers": {"text": []}}).records()
    assert problem.reason == "'answers' has no answer in it"


PARTS = {
    "train.jsonl": "train",
    "questions.csv": "train",
    "validators.jsonl": "train",
    "sub/more.jsonl": "train",
    "valid.csv": "valid",
    "validation-00000-of-00001.parquet": "valid",
    "dev.jsonl": "valid",
    "VAL.tsv": "valid",
    "valid/any.json": "valid",
    "heldout.jsonl": "heldout",
    "test-00000-of-00002.jsonl": "test",
    "test/train.jsonl": "test",
}


def test_a_files_name_says_which_part_it_belongs_to(tmp_path):
    for name in PARTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".hidden.jsonl").touch()
    assert {file.relative: file.part for file in row_files(tmp_path)} == PARTS
    assert [file.relative for file in row_files(tmp_path, part="heldout")] == ["heldout.jsonl"]


def test_links_that_lead_out_or_to_themselves_and_pipes_are_problems(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "secret.csv").write_text("question,answer\na,b\n")
    (tmp_path / "mine" / "out.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "mine" / "self.csv").symlink_to("self.csv")
    os.mkfifo(tmp_path / "mine" / "pipe.csv")
    files = [RecordFile(file, Decisions()) for file in row_files(tmp_path / "mine")]
    assert [(file.layout, [problem.reason for problem in file.records()]) for file in files] == [
        (None, ["is a link to a place outside the dataset"]),
        (None, ["is a pipe or a device, not a file"]),
        (None, ["is a link that leads to itself"]),
    ]


def test_a_part_that_is_a_link_out_of_the_dataset_is_refused_and_nothing_in_it_named(tmp_path):
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.csv").write_text("question,answer\na,b\n")
        (tmp_path / name / f"{name}.txt").write_text("The market is held on Monday.")
    (tmp_path / "mine" / "valid").symlink_to(tmp_path / "other")
    found = [
        *read_examples(row_files(tmp_path / "mine"), decisions=Decisions()),
        *read_documents(tmp_path / "mine", decisions=Decisions(), part="valid"),
    ]
    refused = [str(one) for one in found if isinstance(one, Problem)]
    assert refused == ["mine/valid: is a link to a place outside the dataset"] * 2
    assert stamps(tmp_path / "mine").keys() == {"mine.csv", "mine.txt"}
    assert not check(tmp_path / "mine", decisions=Decisions()).notes


def test_names_of_columns_without_end_are_cut_where_they_are_told(tmp_path):
    file = opened(tmp_path, {"a" * 100_000: 1, **{f"column{n}": n for n in range(5_000)}})
    [problem] = file.records()
    assert max(len(problem.reason), len(problem.suggestion), len(file.recognition.reason)) < 700


def test_the_parts_of_a_row_are_found_behind_thousands_of_other_columns(tmp_path):
    many = {f"column{n}": n for n in range(3_000)}
    file = opened(tmp_path, {**many, "Question": "Q", "answer": "A"})
    assert file.recognition.columns == {"question": "Question", "answer": "answer"}
    [found] = file.records()
    assert [(m.role, m.content) for m in found.messages] == QA
