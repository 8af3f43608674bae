"""The corpus of preferences: two rows for each pair, of which only the answers are learned."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forgellm.data.corpus import build_corpus
from forgellm.data.sources import check_dataset
from forgellm.data.token_cache import TokenCache
from forgellm.domain.errors import InvalidDataset
from forgellm.domain.spec import parse_spec
from forgellm.storage.datasets import find_dataset

DAYS = ["Monday", "Tuesday", "Thursday", "Friday"]
ROWS = [
    {
        "prompt": f"When is market {n} held?",
        "chosen": f"Market {n} is held every {DAYS[n % 4]}.",
        "rejected": f"No market {n} is known" + "." * (n % 3 + 1),
    }
    for n in range(20)
]
TALK = [
    {"role": "user", "content": "Is there salt?"},
    {"role": "assistant", "content": "In Brinmoor there is salt."},
    {"role": "user", "content": "And rope?"},
]
LATER = {
    "chosen": [*TALK, {"role": "assistant", "content": "In Dellwater."}],
    "rejected": [*TALK, {"role": "assistant", "content": "No rope."}],
}


@pytest.fixture
def build(workspace, tokenizer, tmp_path):
    """Build the corpus of a dataset of these rows, with spec fields by name."""

    def build(rows, *, max_seq_length=128, valid=(), **fields):
        folder = workspace.datasets / "preferences"
        folder.mkdir(exist_ok=True)
        for name, part in (("train", rows), ("valid", valid)):
            if part:
                text = "".join(json.dumps(row) + "\n" for row in part)
                (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        return build_corpus(
            tmp_path / "corpus",
            spec=a_spec(**fields),
            max_seq_length=max_seq_length,
            dataset=find_dataset(workspace, "preferences"),
            general=None,
            tokenizer=tokenizer,
            vocab_size=512,
            cache=TokenCache(workspace.tokens),
        )

    return build


def a_spec(**fields):
    base = {"model_name": "m", "training_type": "ift", "objective": "dpo", "dataset": "preferences"}
    return parse_spec(base | fields)


def learned_texts(tokenizer, sequences):
    return [
        tokenizer.decode(ids[learned], skip_special_tokens=True).strip()
        for ids, learned in (sequences[n] for n in range(len(sequences)))
    ]


def test_each_pair_is_two_rows_after_the_same_question_the_chosen_one_first(build, tokenizer):
    corpus = build(ROWS[:12], valid=ROWS[12:16])
    assert learned_texts(tokenizer, corpus.train) == [
        row[side] for row in ROWS[:12] for side in ("chosen", "rejected")
    ]
    assert len(corpus.valid) == 8
    for n in range(0, len(corpus.train), 2):
        (one, learned), (other, _) = corpus.train[n], corpus.train[n + 1]
        asked = int(np.argmax(learned))
        assert (one[:asked] == other[:asked]).all()
    assert (corpus.summary["train_pairs"], corpus.summary["train_sequences"]) == (12, 24)


def test_earlier_answers_are_read_and_not_learned(build, tokenizer):
    corpus = build([LATER, *ROWS[:4]], valid=ROWS[4:6])
    assert learned_texts(tokenizer, corpus.train)[:2] == ["In Dellwater.", "No rope."]
    whole = tokenizer.decode(corpus.train[0][0])
    assert "In Brinmoor there is salt." in whole


def test_a_split_and_a_capped_validation_set_keep_pairs_whole(build, tokenizer):
    corpus = build(ROWS, validation_fraction=0.4, validation_tokens=100)
    assert 2 <= len(corpus.valid) < corpus.summary["held_out_sequences"]
    told = learned_texts(tokenizer, corpus.valid)
    sides = [(row["chosen"], row["rejected"]) for row in ROWS]
    assert all(pair in sides for pair in zip(told[::2], told[1::2], strict=True))
    trained = learned_texts(tokenizer, corpus.train)
    assert not set(told) & set(trained)


def test_pairs_whose_answers_are_cut_off_or_alike_once_cut_are_dropped_and_counted(build, tokenizer):
    shared = "The market is held every day of the week, and it has always been so since the town was built"
    alike = {"prompt": "When?", "chosen": f"{shared} here.", "rejected": f"{shared} there."}
    corpus = build([*ROWS[:4], alike], max_seq_length=24, valid=ROWS[4:6])
    assert corpus.summary["dropped_rows"] >= 1
    assert shared[:20] not in " ".join(learned_texts(tokenizer, corpus.train))
    assert len(corpus.train) == 2 * corpus.summary["train_pairs"]


def test_a_dataset_without_preferences_is_refused_before_the_start(workspace, build):
    [problem] = check_dataset(find_dataset(workspace, "questions"), spec=a_spec(dataset="questions"))
    assert "no row with a chosen and a rejected answer" in problem.reason
    with pytest.raises(InvalidDataset, match="fewer than one batch of 20"):
        build(ROWS[:12], valid=ROWS[12:14], batch_size=20)
    likelihood = parse_spec({"model_name": "m", "training_type": "ift", "dataset": "preferences"})
    problems = check_dataset(find_dataset(workspace, "preferences"), spec=likelihood)
    assert all("only objective dpo" in problem.reason for problem in problems)
