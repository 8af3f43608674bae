"""A preview shows exactly what is trained on: the same tokens, the same mask, the same cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgellm.data.chunks import rows
from forgellm.data.documents import Document
from forgellm.data.encoding import encode_documents
from forgellm.data.lengths import Measurer, lengths, passes
from forgellm.data.masking import encode_examples
from forgellm.data.preferences import Preference
from forgellm.data.preview import preview
from forgellm.data.records import Example
from forgellm.domain.chat import Message
from forgellm.domain.spec import parse_spec
from tests.data.templates import SHAPES

TEXT = "# Über\n\n你好。The market 👩🏽‍🚀 of Brinmoor.\n\n" * 6


def example(question="When?", answer="Now. 你好 👩🏽‍🚀", line=3):
    return Example((Message("user", question), Message("assistant", answer)), "d/train.jsonl", line)


def shown(row):
    return "".join(piece.text for piece in row.pieces)


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("gemma4", "r1")])
def test_an_example_is_shown_as_the_template_renders_it_with_what_is_learned_apart(shaped, name):
    tokenizer = shaped[name]
    [row] = preview([example()], tokenizer=tokenizer, max_seq_length=500)
    messages = [{"role": m.role, "content": m.content} for m in example().messages]
    assert shown(row) == tokenizer.apply_chat_template(messages, tokenize=False)
    [encoded] = encode_examples(tokenizer, [example()])
    assert [p.id for p in row.pieces] == encoded.ids.tolist()
    assert [p.learned for p in row.pieces] == encoded.learned.tolist()
    taught = "".join(piece.text for piece in row.pieces if piece.learned)
    assert taught.endswith("Now. 你好 👩🏽‍🚀" + SHAPES[name].ends)
    assert (row.file, row.line, row.cut, row.learned) == ("d/train.jsonl", 3, 0, int(encoded.learned.sum()))


def test_a_row_that_is_too_long_says_how_many_tokens_are_left_out(tokenizer):
    [whole] = preview([example()], tokenizer=tokenizer, max_seq_length=500)
    [row] = preview([example()], tokenizer=tokenizer, max_seq_length=whole.tokens - 4)
    assert (row.tokens, row.cut, len(row.pieces)) == (whole.tokens, 4, whole.tokens - 4)
    assert row.pieces == whole.pieces[:-4]
    [nothing] = preview([example("Where? " * 50, "y")], tokenizer=tokenizer, max_seq_length=20)
    assert "nothing to learn" in nothing.problem


def test_an_example_that_the_template_refuses_is_shown_with_the_reason_in_its_place(shaped):
    twice = Example(
        (Message("user", "a"), Message("user", "b"), Message("assistant", "c")), "d/train.jsonl", 7
    )
    found = list(preview([example(), twice, example()], tokenizer=shaped["gemma"], max_seq_length=99))
    assert [row.problem is None for row in found] == [True, False, True]
    assert "alternate" in found[1].problem
    assert (found[1].line, list(found[1].pieces)) == (7, [])


def test_a_preference_is_shown_with_either_answer(tokenizer):
    asked, one, two = (Message("user", "Q?"),), (Message("assistant", "yes"),), (Message("assistant", "no"),)
    preferred = Preference(asked, one, two, "d/p.jsonl", 5)
    found = list(preview([preferred], tokenizer=tokenizer, max_seq_length=99))
    taught = ["".join(piece.text for piece in row.pieces if piece.learned) for row in found]
    assert taught == ["yes<|im_end|>", "no<|im_end|>"]
    assert [row.line for row in found] == [5, 5]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=2, max_size=200),
    overlap=st.integers(0, 4),
)
def test_the_chunks_of_a_document_are_those_that_are_trained_on_and_rejoin_to_it(tokenizer, text, overlap):
    document = Document("d/a.md", text, "markdown")
    [encoded] = encode_documents(tokenizer, [document])
    expected = list(rows([(encoded.ids, encoded.marks)], length=16, overlap=overlap))
    found = list(preview([document], tokenizer=tokenizer, max_seq_length=16, chunk_overlap=overlap))
    assert [[p.id for p in row.pieces] for row in found] == [ids.tolist() for ids, _ in expected]
    assert [row.learned for row in found] == [int(learned[1:].sum()) for _, learned in expected]
    assert [(row.chunk, row.chunks) for row in found] == [(n + 1, len(found)) for n in range(len(found))]
    new = [
        piece.text
        for row, (_, learned) in zip(found, expected, strict=True)
        for piece, one in zip(row.pieces, learned, strict=True)
        if one
    ]
    assert "".join(new) == text + tokenizer.eos_token


def test_of_a_long_document_the_chunks_of_its_beginning_are_those_that_are_trained_on(tokenizer):
    document = Document("d/a.md", TEXT * 40, "markdown")
    [encoded] = encode_documents(tokenizer, [document])
    expected = list(rows([(encoded.ids, encoded.marks)], length=50))
    found = list(preview([document], tokenizer=tokenizer, max_seq_length=50, looked_at=3000))
    assert 10 < len(found) < len(expected)
    for row, (ids, _) in zip(found, expected, strict=False):
        assert [p.id for p in row.pieces] == ids.tolist()
    assert {row.chunks for row in found} == {None}


def test_a_character_of_several_tokens_is_shown_once_by_its_first(tokenizer, metaspace_tokenizer):
    for one in (tokenizer, metaspace_tokenizer):
        [row] = preview([Document("d/a.txt", "the 日本 market")], tokenizer=one, max_seq_length=99)
        assert "".join(p.text for p in row.pieces).startswith("the 日本 market")
        place = [p.text for p in row.pieces].index("日")
        assert [p.text for p in row.pieces][place + 1 : place + 3] == ["", ""]


def test_items_are_shown_in_their_order_whatever_they_are(tokenizer):
    items = [example(line=1), Document("d/a.md", "One"), example(line=2), Document("d/b.md", "Two")]
    found = list(preview(items, tokenizer=tokenizer, max_seq_length=99))
    assert [row.line for row in found] == [1, None, 2, None]


def test_what_is_measured_is_what_is_shown(shaped):
    tokenizer = shaped["gemma"]
    twice = Example((Message("user", "a"), Message("user", "b"), Message("assistant", "c")), "d/t.jsonl", 1)
    items = [example(), twice, Document("d/a.md", TEXT), example("Where? " * 50)]
    found = Measurer(tokenizer, max_seq_length=60)(items)
    [short] = preview([items[0]], tokenizer=tokenizer, max_seq_length=60)
    assert [one.problem is None for one in found] == [True, False, True, True]
    assert (found[0].tokens, found[0].learned, found[0].cut) == (short.tokens, short.learned, False)
    assert found[2].tokens == len(next(encode_documents(tokenizer, [items[2]])).ids)
    assert found[3].cut


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=200))
def test_lengths_are_counted_exactly(drawn):
    found = lengths(((n, n // 2) for n in drawn), max_seq_length=100)
    assert (found.count, found.tokens, found.shortest, found.longest) == (
        len(drawn),
        sum(drawn),
        min(drawn),
        max(drawn),
    )
    assert found.learned == sum(n // 2 for n in drawn)
    assert found.median == sorted(drawn)[(len(drawn) - 1) // 2]
    assert found.cut == sum(n > 100 for n in drawn)
    assert sum(count for _, count in found.bins) == len(drawn)
    for bound, count in found.bins:
        assert count == sum((bound // 2 if bound > 16 else 0) < n <= bound for n in drawn)


def test_passes_over_the_data_follow_from_the_spec():
    base = {"model_name": "m", "training_type": "ift", "dataset": "d", "batch_size": 4}
    one = passes(parse_spec({**base, "max_iterations": 50, "grad_accumulation_steps": 2}), 40)
    assert (one.batches_per_epoch, one.iterations, one.epochs) == (10, 50, 10.0)
    two = passes(parse_spec({**base, "epochs": 3}), 41)
    assert (two.batches_per_epoch, two.iterations, two.epochs) == (11, 33, 3.0)
    assert np.isclose(passes(parse_spec(base), 8000).epochs, 0.25)
