"""The corpus of a run: what is trained on and measured on, its counts, its files, its fingerprint."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from forgellm.data.corpus import build_corpus, load_corpus
from forgellm.data.sources import check_dataset
from forgellm.data.token_cache import TokenCache
from forgellm.domain.errors import InvalidDataset, ResumeMismatch
from forgellm.domain.spec import parse_spec
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import Decisions, write_decisions
from tests.conftest import question_rows

VOCABULARY = 512
WORDS = (
    "market rope lamps salt clocks honey paper glass quay bell morning river forest library bread tea".split()
)


@pytest.fixture
def build(workspace, tokenizer, tmp_path):
    """Build a corpus of the workspace's datasets, with spec fields by name."""

    def build(folder="corpus", *, max_seq_length=64, vocab_size=VOCABULARY, **fields):
        spec = a_spec(**fields)
        general = find_dataset(workspace, spec.general_dataset) if spec.general_dataset else None
        return build_corpus(
            tmp_path / folder,
            spec=spec,
            max_seq_length=max_seq_length,
            dataset=find_dataset(workspace, spec.dataset),
            general=general,
            tokenizer=tokenizer,
            vocab_size=vocab_size,
            cache=TokenCache(workspace.tokens),
        )

    return build


def a_spec(**fields):
    base = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}
    return parse_spec(base | fields)


def pairs(sequences):
    return [sequences[i] for i in range(len(sequences))]


def learned_counts(sequences):
    return Counter(int(t) for ids, learned in pairs(sequences) for t in ids[learned])


def write_rows(folder: Path, name: str, rows) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_documents_are_chunked_whole_and_each_token_is_a_target_once(build, workspace, tokenizer):
    corpus = build(max_seq_length=32, validation_tokens=10_000)
    rows = pairs(corpus.train)
    assert all(28 <= len(ids) <= 32 for ids, _ in rows[:-1])
    assert 2 <= len(rows[-1][0]) <= 32
    assert all(a[-1] == b[0] for (a, _), (b, _) in pairwise(rows))
    assert not any(learned[0] for _, learned in rows)
    texts = [p.read_text() for p in (workspace.datasets / "domain").iterdir()]
    expected = Counter(t for text in texts for t in [*tokenizer.encode(text), tokenizer.eos_token_id])
    untaught = Counter([int(rows[0][0][0])] + [tokenizer.encode(t)[0] for t in held_out(corpus, tokenizer)])
    assert learned_counts(corpus.train) + learned_counts(corpus.valid) + untaught == expected


def held_out(corpus, tokenizer):
    """The held-out documents, put together from their chunks."""
    stream: list[int] = []
    for ids, _ in pairs(corpus.valid):
        stream += ids[1:].tolist() if stream and stream[-1] == ids[0] else ids.tolist()
    text = tokenizer.decode(stream)
    return [part for part in text.split(tokenizer.eos_token) if part]


def test_no_held_out_document_is_trained_on(build, tokenizer):
    corpus = build(validation_tokens=10_000)
    trained = tokenizer.decode(np.concatenate([ids[1:] for ids, _ in pairs(corpus.train)]))
    documents = held_out(corpus, tokenizer)
    assert len(documents) >= 1
    assert all(document[1:].strip() not in trained for document in documents)


def test_an_example_is_a_row_and_only_its_answer_is_learned(build, tokenizer):
    corpus = build(training_type="ift", dataset="questions")
    assert len(corpus.train) + corpus.summary["held_out_sequences"] == 40
    answers = {f"{row['completion']}<|im_end|>" for row in question_rows()}
    assert {tokenizer.decode(ids[learned]) for ids, learned in pairs(corpus.train)} < answers


def test_equal_examples_are_never_on_both_sides(build, workspace, tokenizer):
    rows = list(question_rows())[:8] * 5
    write_rows(workspace.datasets / "repeated", "train.jsonl", rows)
    corpus = build(training_type="ift", dataset="repeated", validation_fraction=0.3)
    trained = {tuple(ids.tolist()) for ids, _ in pairs(corpus.train)}
    assert not trained & {tuple(ids.tolist()) for ids, _ in pairs(corpus.valid)}


@pytest.mark.parametrize("seed", range(4))
def test_no_document_and_none_that_is_nearly_equal_is_on_both_sides(build, workspace, tokenizer, seed):
    folder = workspace.datasets / "repeated"
    folder.mkdir()
    drawn = random.Random(seed)
    for n in range(8):
        words = [drawn.choice(WORDS) for _ in range(150)]
        for copy in range(3):
            # The second copy is the text with white space around it, the third has one word changed.
            changed = words if copy < 2 else [*words[:70], "another", *words[71:]]
            (folder / f"{n}{copy}.md").write_text(f"d{n} " + " ".join(changed) + "\n" * copy)
    corpus = build(dataset="repeated", validation_fraction=0.3, validation_tokens=100_000, seed=seed)
    sides = [tokenizer.decode(part.tokens) for part in (corpus.train, corpus.valid)]
    found = [{n for n in range(8) if f"d{n} " in side} for side in sides]
    assert not found[0] & found[1]
    assert found[0] | found[1] == set(range(8))


def test_what_overlaps_is_seen_again_and_not_learned_again(build, workspace):
    alone = build("alone", max_seq_length=64)
    corpus = build(max_seq_length=64, chunk_overlap=16)
    assert corpus.train.learned.sum() == alone.train.learned.sum()
    assert len(corpus.train.tokens) > 1.15 * len(alone.train.tokens)
    assert corpus.fingerprint != alone.fingerprint


def test_a_run_does_not_need_the_cache_once_its_corpus_is_there(build, workspace, tmp_path):
    built = build()
    shutil.rmtree(workspace.tokens)
    assert load_corpus(tmp_path / "corpus").fingerprint == built.fingerprint
    assert not [path for path in (tmp_path / "corpus").iterdir() if path.name.startswith(".")]
    assert build("again").fingerprint == built.fingerprint


def test_a_dataset_with_its_own_validation_part_is_taken_as_it_is(build, workspace):
    folder = workspace.datasets / "split"
    rows = list(question_rows())
    write_rows(folder, "train.jsonl", rows[:30])
    write_rows(folder, "valid.jsonl", rows[30:35])
    write_rows(folder, "heldout.jsonl", rows[35:])
    corpus = build(training_type="ift", dataset="split")
    assert (len(corpus.train), len(corpus.valid)) == (30, 5)
    assert corpus.summary["split"] == "valid.jsonl"
    documents = workspace.datasets / "domain" / "valid"
    documents.mkdir()
    (documents / "one.md").write_text("Held out by hand.")
    corpus = build("second")
    assert (len(corpus.valid), corpus.summary["split"], corpus.summary["items"]) == (1, "valid/", 13)


def test_the_part_for_validation_is_called_by_the_name_of_its_file(build, workspace):
    folder = workspace.datasets / "sheet"
    (folder / "valid").mkdir(parents=True)
    lines = ["question,answer", *(f"When is market {n}?,On day {n}." for n in range(6))]
    (folder / "train.csv").write_text("\n".join(lines))
    (folder / "valid.csv").write_text("\n".join(lines[:3]))
    (folder / "valid" / "notes.txt").write_text("A document, which is no example. " * 9)
    (folder / "valid" / "more.csv").write_text("\n".join(lines[:3]))
    write_decisions(folder, Decisions(excluded={"valid/more.csv": [0]}))
    corpus = build(training_type="ift", dataset="sheet")
    assert (corpus.summary["split"], corpus.summary["items"]) == ("valid.csv", 8)


def test_the_only_document_is_split_near_its_end_and_the_summary_says_so(build, workspace, tokenizer):
    folder = workspace.datasets / "single"
    folder.mkdir()
    text = "\n\n".join(f"Paragraph {n} of the only document." for n in range(40))
    (folder / "all.txt").write_text(text)
    corpus = build(dataset="single", validation_tokens=10_000)
    assert "only document" in corpus.summary["split"]
    assert text.endswith("".join(held_out(corpus, tokenizer)))


def test_rows_that_are_too_long_are_cut_and_counted_and_those_without_an_answer_left_dropped(
    build, workspace
):
    rows = [
        *({"prompt": f"Where {n}?", "completion": "At the quay. " * 50} for n in range(6)),
        *({"prompt": f"Where is it {n}? " * 50, "completion": "Here."} for n in range(3)),
        *({"prompt": f"Who {n}?", "completion": "She."} for n in range(11)),
    ]
    write_rows(workspace.datasets / "long", "train.jsonl", rows)
    corpus = build(training_type="ift", dataset="long", max_seq_length=48)
    assert corpus.summary["cut_rows"] == 9
    assert corpus.summary["dropped_rows"] == 3
    assert len(corpus.train) + corpus.summary["held_out_sequences"] == 17
    assert corpus.train.lengths.max() == 48
    assert (corpus.train.targets > 0).all()


@pytest.mark.parametrize("kind", ["cpt", "ift"])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.8])
def test_general_data_is_mixed_in_by_its_share_of_the_tokens(build, kind, ratio):
    dataset = "domain" if kind == "cpt" else "questions"
    corpus = build(training_type=kind, dataset=dataset, data_mixture_ratio=ratio)
    assert corpus.summary["domain_share"] == pytest.approx(ratio, abs=0.02)
    assert corpus.general_valid is not None
    assert corpus.summary["general"]["drawn_sequences"] > 0
    alone = build("alone", training_type=kind, dataset=dataset)
    assert np.array_equal(corpus.train.tokens[: len(alone.train.tokens)], alone.train.tokens)
    assert alone.general_valid is None


def test_general_data_is_measured_even_where_none_is_mixed_in(build):
    corpus = build(general_dataset="general")
    assert len(corpus.general_valid) > 0
    assert corpus.summary["general"]["drawn_sequences"] == 0
    assert np.array_equal(corpus.train.tokens, build("alone").train.tokens)


def test_general_data_for_documents_may_be_examples(build):
    corpus = build(general_dataset="questions", data_mixture_ratio=0.5)
    assert 0 < corpus.general_valid.learned.sum() < len(corpus.general_valid.tokens)


def test_the_validation_set_is_capped_by_whole_sequences(build):
    whole = build("whole", validation_fraction=0.5, max_seq_length=16, validation_tokens=100_000)
    capped = build("capped", validation_fraction=0.5, max_seq_length=16, validation_tokens=100)
    everything = {ids.tobytes() for ids, _ in pairs(whole.valid)}
    assert 100 - 16 < len(capped.valid.tokens) <= 100
    assert {ids.tobytes() for ids, _ in pairs(capped.valid)} < everything
    assert capped.summary["held_out_tokens"] == len(whole.valid.tokens)


@pytest.mark.parametrize("kind", ["cpt", "ift"])
def test_the_same_spec_builds_the_same_corpus_and_another_seed_another_one(build, kind):
    fields = {"training_type": kind, "dataset": "domain" if kind == "cpt" else "questions"}
    first, again, other = (build(f"c{n}", **fields, seed=seed) for n, seed in enumerate((1, 1, 2)))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(first.train.tokens, again.train.tokens)
    assert not np.array_equal(first.train.tokens, other.train.tokens)


def test_a_corpus_is_read_back_as_it_was_built(build, tmp_path):
    built = build(general_dataset="general")
    read = load_corpus(tmp_path / "corpus")
    assert read.fingerprint == built.fingerprint
    assert read.summary == built.summary
    for ours, theirs in ((built.train, read.train), (built.general_valid, read.general_valid)):
        assert np.array_equal(ours.tokens, theirs.tokens)
        assert np.array_equal(ours.learned, theirs.learned)
        assert np.array_equal(ours.offsets, theirs.offsets)


def test_a_corpus_cannot_be_written_to_by_accident(build):
    with pytest.raises(ValueError, match="read-only"):
        build().train.tokens[0] = 1


@pytest.mark.parametrize("name", ["train.tokens", "valid.learned", "train.offsets"])
def test_a_corpus_with_one_changed_byte_is_not_resumed_with(build, tmp_path, name):
    build()
    path = tmp_path / "corpus" / f"{name}.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ResumeMismatch):
        load_corpus(tmp_path / "corpus")


@pytest.mark.parametrize("name", ["corpus.json", "train.tokens.npy", "valid.offsets.npy"])
def test_a_corpus_with_a_missing_or_cut_off_file_is_not_resumed_with(build, tmp_path, name):
    build()
    path = tmp_path / "corpus" / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ResumeMismatch, match=name):
        load_corpus(tmp_path / "corpus")
    path.unlink()
    with pytest.raises(ResumeMismatch, match=name):
        load_corpus(tmp_path / "corpus")


def test_bad_rows_stop_the_build_with_file_line_and_reason(build, workspace):
    with open(workspace.datasets / "questions" / "train.jsonl", "a") as file:
        file.write("oops\n{}\n")
    with pytest.raises(
        InvalidDataset, match=r"questions/train.jsonl, line 41: is not JSON.*and 1 more"
    ) as caught:
        build(training_type="ift", dataset="questions")
    problems = caught.value.details["problems"]
    assert [(p["file"], p["line"]) for p in problems] == [("questions/train.jsonl", n) for n in (41, 42)]
    assert all(p["reason"] for p in problems)


def test_a_token_beyond_the_vocabulary_stops_the_build(build):
    with pytest.raises(InvalidDataset, match="vocabulary ends at 299"):
        build(vocab_size=300)


def test_fewer_sequences_than_a_batch_stop_the_build(build):
    with pytest.raises(InvalidDataset, match="fewer than one batch of 64"):
        build(batch_size=64)


def test_a_dataset_whose_answers_are_all_cut_off_stops_the_build(build, workspace):
    rows = [{"prompt": f"{n} " * 100, "completion": "yes"} for n in range(10)]
    write_rows(workspace.datasets / "cut", "train.jsonl", rows)
    with pytest.raises(InvalidDataset, match="nothing to learn") as caught:
        build(training_type="ift", dataset="cut", max_seq_length=16)
    assert "max_seq_length" in caught.value.suggestion


def test_a_check_finds_what_a_build_would_stop_at(workspace):
    folder = workspace.datasets / "few"
    write_rows(folder, "train.jsonl", list(question_rows())[:3])
    spec = a_spec(training_type="ift", dataset="few", batch_size=4)
    assert "fewer than one batch of 4" in check_dataset(folder, spec=spec)[0].reason
    write_rows(folder, "train.jsonl", list(question_rows())[:1] * 3)
    assert "one distinct example" in check_dataset(folder, spec=spec)[0].reason
    write_rows(folder, "train.jsonl", [])
    assert "no example" in check_dataset(folder, spec=spec)[0].reason
    spec = a_spec(dataset="few")
    assert "no document" in check_dataset(folder, spec=spec)[0].reason
    (folder / "a.txt").write_text("a")
    assert "too short" in check_dataset(folder, spec=spec)[0].reason


def test_a_check_accepts_what_can_be_trained_on(workspace):
    for kind, name in (("cpt", "domain"), ("ift", "questions")):
        spec = a_spec(training_type=kind, dataset=name, general_dataset="general")
        assert check_dataset(find_dataset(workspace, name), spec=spec) == []
        assert check_dataset(find_dataset(workspace, "general"), spec=spec) == []
