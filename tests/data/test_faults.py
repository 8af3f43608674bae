"""Every file of the corpus of faults: accepted or refused, with file, line and reason, before training."""

from __future__ import annotations

import pytest

from forgellm.data.example_files import row_files
from forgellm.data.records import Example, read_examples
from forgellm.data.sources import check_dataset
from forgellm.domain.chat import Message
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.decisions import Decisions, write_decisions
from tests.data.faults import FAULTS, HARMLESS, HARMLESS_DOCUMENTS, write_good

PAIR = (Message("user", "When?"), Message("assistant", "On Monday."))


@pytest.fixture
def folder(tmp_path):
    """A good dataset, to put a file into."""
    write_good(tmp_path / "mine")
    return tmp_path / "mine"


def spec(training_type: str) -> TrainingSpec:
    return TrainingSpec(model_name="m", dataset="mine", training_type=training_type, batch_size=4)


def test_the_corpus_has_what_was_promised():
    assert len(FAULTS) + len(HARMLESS) + len(HARMLESS_DOCUMENTS) >= 80


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_file_line_and_reason_and_may_be_left_out(folder, name):
    fault = FAULTS[name]
    (folder / fault.file).write_bytes(fault.data)
    problem = check_dataset(folder, spec=spec(fault.training_type))[0]
    assert (problem.file, problem.line) == (f"mine/{fault.file}", fault.line)
    assert fault.reason in problem.reason
    write_decisions(folder, Decisions(excluded={fault.file: [0]}))
    assert check_dataset(folder, spec=spec(fault.training_type)) == []


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_in_rows_is_read(folder, name):
    file, data = HARMLESS[name]
    (folder / file).write_bytes(data)
    assert check_dataset(folder, spec=spec("ift")) == []
    [file] = [one for one in row_files(folder) if one.relative == file]
    assert [e.messages for e in read_examples([file], decisions=Decisions()) if isinstance(e, Example)] == [
        PAIR
    ]


@pytest.mark.parametrize("name", HARMLESS_DOCUMENTS)
def test_what_is_harmless_in_documents_is_read(folder, name):
    file, data = HARMLESS_DOCUMENTS[name]
    (folder / file).write_bytes(data)
    assert check_dataset(folder, spec=spec("cpt")) == []


@pytest.mark.parametrize("training_type", ["cpt", "ift"])
@pytest.mark.parametrize("data", [None, b"", b"\n\n"])
def test_a_dataset_without_rows_or_text_is_refused(tmp_path, training_type, data):
    (tmp_path / "mine").mkdir()
    if data is not None:
        (tmp_path / "mine" / "train.jsonl").write_bytes(data)
        (tmp_path / "mine" / "text.md").write_bytes(data)
    [problem] = check_dataset(tmp_path / "mine", spec=spec(training_type))
    assert problem.file == "mine"
    assert problem.reason.startswith("has no ")


def test_fewer_rows_than_the_batch_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text("question,answer\na,b\nc,d\n")
    [problem] = check_dataset(tmp_path / "mine", spec=spec("ift"))
    assert "fewer than one batch of 4" in problem.reason
