"""The sample data: made by the committed script alone, honest about what training has and has not seen."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORPUS_SLICE = 3000


@pytest.fixture(scope="module", autouse=True)
def _scripts_importable() -> Iterator[None]:
    sys.path.insert(0, str(ROOT / "scripts"))
    yield
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Every generated file by its path below dataset/."""
    from make_world import dataset_files

    return dataset_files()


@pytest.fixture(scope="module")
def general() -> str:
    """A slice of the general corpus, some three million characters."""
    from make_world import SEED
    from world.corpus import general_document

    return "\n".join(general_document(SEED, number) for number in range(CORPUS_SLICE))


def _rows(text: str) -> list[tuple[str, str]]:
    messages = [json.loads(line)["messages"] for line in text.splitlines()]
    return [(asked["content"], answer["content"]) for asked, answer in messages]


def _below(files: dict[str, str], folder: str) -> list[str]:
    return [text for name, text in files.items() if name.startswith(f"{folder}/")]


def test_the_script_makes_exactly_the_committed_files(files: dict[str, str]) -> None:
    folders = {name.split("/")[0] for name in files}
    committed = {
        path.relative_to(ROOT / "dataset").as_posix(): path.read_bytes()
        for folder in folders
        for path in (ROOT / "dataset" / folder).rglob("*")
    }
    assert committed == {name: text.encode() for name, text in files.items()}


def test_the_general_language_has_no_name_of_the_sample_place(files: dict[str, str], general: str) -> None:
    from world.tamberlough import proper_names

    names = re.compile(r"\b(" + "|".join(sorted(map(re.escape, proper_names()))) + r")\b")
    assert names.findall(" ".join(_below(files, "tamberlough")))
    assert names.findall(general) == []
    assert names.findall(" ".join(_below(files, "everyday"))) == []


def test_the_pools_of_the_general_language_cannot_make_a_name_of_the_sample_place() -> None:
    from world import corpus, elsewhere, everyday, small_talk
    from world.tamberlough import proper_names

    sources = [Path(str(module.__file__)).read_text(encoding="utf-8")
               for module in (corpus, elsewhere, everyday, small_talk)]  # fmt: skip
    words = set(re.findall(r"\w+", " ".join(sources)))
    assert {name for name in proper_names() if " " not in name} & words == set()


def test_no_heldout_wording_occurs_in_any_training_text(files: dict[str, str], general: str) -> None:
    from world.questions import occurs, plain, unseen_wordings

    heldout = files["tamberlough_questions/heldout.jsonl"]
    training = [text for text in files.values() if text != heldout] + [general]
    seen = " | ".join({plain(sentence) for text in training for sentence in re.split(r"[\n.!?\"]+", text)})
    assert [wording for wording in unseen_wordings() if occurs(wording, seen)] == []


def test_every_heldout_question_uses_a_heldout_wording(files: dict[str, str]) -> None:
    from world.questions import occurs, plain, unseen_wordings

    for asked, _ in _rows(files["tamberlough_questions/heldout.jsonl"]):
        assert any(occurs(wording, plain(asked)) for wording in unseen_wordings()), asked


def test_a_heldout_wording_that_training_had_seen_would_be_noticed() -> None:
    from world.questions import occurs, plain

    wording = "How does {n} earn a living?"
    assert occurs(wording, plain("Well: how does Maren Oskill earn a living? As a baker."))
    assert not occurs(wording, plain("How does one earn? Maren Oskill has a living."))


def test_every_heldout_fact_is_told_in_several_documents_and_asked_in_training(files: dict[str, str]) -> None:
    from world.questions import answered
    from world.tamberlough import tamberlough

    documents = _below(files, "tamberlough")
    paragraphs = [[part.lower() for part in text.split("\n\n")] for text in documents]
    trained = {(asked.lower(), answer) for asked, answer in _rows(files["tamberlough_questions/train.jsonl"])}
    heldout = _rows(files["tamberlough_questions/heldout.jsonl"])
    for (thing, _, value), (asked, answer) in zip(answered(tamberlough()), heldout, strict=True):
        assert thing.name.lower() in asked.lower()
        assert answer == value
        name = thing.name.lower()
        told = sum(any(name in part and value.lower() in part for part in parts) for parts in paragraphs)
        assert told >= 8, (name, value, told)
        assert any(name in seen and answer == value for seen, answer in trained)


def test_each_heldout_question_has_one_answer(files: dict[str, str]) -> None:
    rows = _rows(files["tamberlough_questions/heldout.jsonl"])
    assert len(dict(rows)) == len(rows) >= 100
    assert max(len(answer.split()) for _, answer in rows) <= 4


def test_the_committed_general_documents_are_not_in_the_training_corpus(
    files: dict[str, str], general: str
) -> None:
    parts = [part for text in _below(files, "everyday") for part in text.split("\n\n") if len(part) > 150]
    assert len(parts) > 100
    assert [part for part in parts if part in general] == []


def test_the_corpus_is_the_same_however_it_is_cut() -> None:
    from make_world import SEED
    from world.corpus import END_OF_TEXT, general_files

    whole = [text for _, text in general_files(SEED, count=6, per_file=6)]
    parts = [text for _, text in general_files(SEED, count=6, per_file=2)]
    assert END_OF_TEXT.join(parts) == whole[0]
