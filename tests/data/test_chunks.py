"""Documents in rows: nothing lost, nothing twice, cut where their structure breaks, never too long."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgellm.data.chunks import cut_near, rows
from forgellm.data.documents import Document
from forgellm.data.encoding import encode_documents
from forgellm.data.structure import BLOCK, DOCUMENT, LEVEL, PARAGRAPH, SECTION

WORDS = st.sampled_from(
    [
        "market",
        "the ",
        " of\n",
        "\n\n",
        "# Title\n",
        "```\n",
        "def f():\n",
        "    ",
        "。",
        "町の市場",
        "ünï",
        "👩🏽‍🚀",
        ". And ",
        "\t",
    ]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=80).map("".join)
KINDS = st.sampled_from(["markdown", "text", "code"])
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def encoded(tokenizer, *texts, kind="markdown", **options):
    documents = [Document(f"d/{n}.md", text, kind) for n, text in enumerate(texts)]
    return list(encode_documents(tokenizer, documents, **options))


def chunked(documents, *, length, overlap=0):
    return list(rows([(one.ids, one.marks) for one in documents], length=length, overlap=overlap))


def texts_of(tokenizer, document, *, length):
    """What each row teaches, as text."""
    parts = [ids[learned] for ids, learned in chunked([document], length=length)]
    return [tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in parts]


@SETTINGS
@given(text=TEXTS, kind=KINDS, length=st.integers(8, 60))
def test_chunks_rejoin_to_the_document_byte_for_byte(tokenizer, text, kind, length):
    [one] = encoded(tokenizer, text, kind=kind)
    found = chunked([one], length=length)
    learned = np.concatenate([ids[mask] for ids, mask in found])
    assert np.array_equal(learned, one.ids)
    assert tokenizer.decode(learned[:-1], clean_up_tokenization_spaces=False) == text
    data = text.encode()
    places = [*one.starts[np.cumsum([0, *(mask.sum() for _, mask in found)])[:-1]], len(data)]
    assert b"".join(data[a:b] for a, b in pairwise(places)) == data


@SETTINGS
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), length=st.integers(8, 40), overlap=st.integers(0, 4))
def test_every_token_is_a_target_once_and_no_row_is_longer_than_it_may_be(tokenizer, texts, length, overlap):
    documents = encoded(tokenizer, *texts)
    found = chunked(documents, length=length, overlap=overlap)
    assert all(2 <= len(ids) <= length for ids, _ in found)
    stream = np.concatenate([one.ids for one in documents])
    assert np.array_equal(np.concatenate([ids[learned] for ids, learned in found]), stream)
    for _, learned in found[1:]:
        seen = int(np.argmax(learned))
        assert 1 <= seen <= overlap + 1
        assert learned[seen:].all()


@SETTINGS
@given(text=TEXTS, kind=KINDS, segment=st.integers(20, 200))
def test_a_long_text_has_the_tokens_and_marks_that_it_has_in_one_piece(tokenizer, text, kind, segment):
    [whole] = encoded(tokenizer, text * 12, kind=kind)
    [parted] = encoded(tokenizer, text * 12, kind=kind, segment=segment)
    assert tokenizer.decode(parted.ids) == tokenizer.decode(whole.ids)
    if np.array_equal(parted.ids, whole.ids):
        assert np.array_equal(parted.starts, whole.starts)
        assert np.array_equal(parted.marks, whole.marks)
    else:
        # A pattern repeated without end may be parted at another of its repetitions.
        assert len(text) < 40


@pytest.mark.parametrize("text", ["a" * 5000, "ab" * 3000, "の" * 2000, " " * 4000, "\n" * 4000])
def test_a_pattern_without_end_keeps_every_letter(tokenizer, text):
    [found] = encoded(tokenizer, text, segment=700)
    assert tokenizer.decode(found.ids[:-1]) == text


def test_a_real_text_in_segments_has_exactly_the_tokens_of_the_whole(tokenizer, metaspace_tokenizer):
    text = "\n\n".join(
        f"Paragraph {n}. The market of Brinmoor, 你好, is held – every day!" for n in range(300)
    )
    for one in (tokenizer, metaspace_tokenizer):
        [found] = encoded(one, text, segment=1000)
        assert found.ids[:-1].tolist() == one.encode(text, add_special_tokens=False)


def test_a_row_ends_where_a_section_ends_rather_than_a_paragraph_a_line_or_a_word(tokenizer):
    text = "One two three.\n\nFour five six.\n\n## Seven\n\neight nine ten"
    [one] = encoded(tokenizer, text)
    assert [
        tokenizer.decode(one.ids[i:]).split("\n")[0]
        for i in np.flatnonzero((one.marks & LEVEL) >= PARAGRAPH)[1:]
    ] == ["Four five six.", "## Seven", "eight nine ten<|im_end|>"]
    place = int(np.flatnonzero(one.marks >= SECTION)[1])
    first = texts_of(tokenizer, one, length=place + 3)[0]
    assert first.endswith("six.\n\n")


def test_a_block_of_code_stays_whole_where_it_fits_and_only_there(tokenizer):
    code = "```py\n" + "".join(f"x{n} = {n}\n\n" for n in range(6)) + "```\n"
    text = f"{'Some words stand here. ' * 3}\n\n{code}\nAnd then it goes on.\n"
    [one] = encoded(tokenizer, text)
    inside = np.flatnonzero(one.marks & BLOCK)
    size = len(inside) + 2
    assert any(code in part for part in texts_of(tokenizer, one, length=size + 4))
    small = texts_of(tokenizer, one, length=size // 2)
    assert not any(code in part for part in small)
    assert "".join(small) == text + "<|im_end|>"


def test_a_heading_goes_with_the_block_that_it_leads_to(tokenizer):
    code = "```py\n" + "".join(f"x{n} = {n}\n" for n in range(9)) + "```\n"
    [one] = encoded(tokenizer, f"{'Some words stand here. ' * 8}\n\n## How\n\n{code}\nAnd on.\n")
    start, end = np.flatnonzero(one.marks & BLOCK)[[0, -1]]
    for length in range(end - start + 12, start + 8):
        assert any("## How" in part and code in part for part in texts_of(tokenizer, one, length=length))


def test_a_hash_in_code_is_a_comment_and_in_a_fenced_block_too(tokenizer):
    [code] = encoded(tokenizer, "x = 1\n\n# note\ny = 2\n", kind="code")
    assert (code.marks[1:] & LEVEL).max() == PARAGRAPH
    [fenced] = encoded(tokenizer, "```\nx = 1\n\n# note\n```\n")
    assert (fenced.marks[1:] & LEVEL).max() < PARAGRAPH


def test_a_block_that_is_never_closed_ends_with_its_document(tokenizer):
    _, after = encoded(tokenizer, "```\nx = 1\n", "plain\n\nwords\n")
    assert not (after.marks & BLOCK).any()
    assert after.marks[0] == DOCUMENT


def test_a_character_of_several_tokens_is_not_parted(tokenizer):
    [one] = encoded(tokenizer, "町の市場は毎日。" * 30)
    data = one.document.text.encode()
    start = 0
    for _, learned in chunked([one], length=20)[:-1]:
        start += int(learned.sum())
        data[: one.starts[start]].decode()


def test_short_documents_share_a_row_and_overlap_does_not_reach_into_another(tokenizer):
    documents = encoded(tokenizer, *(f"In {n}." for n in range(20)))
    found = chunked(documents, length=60, overlap=20)
    assert len(found) < 10
    starts = np.cumsum([len(one.ids) for one in documents])
    at = 0
    for _, learned in found:
        seen = int(np.argmax(learned))
        assert seen <= 1 or not (set(range(at - seen + 1, at)) & set(starts))
        at += int(learned.sum())


@pytest.mark.parametrize("words", [3, 50, 2000])
def test_rows_are_well_filled(tokenizer, words):
    text = "\n\n".join(" ".join(["market"] * (words % 60 or 20)) + "." for _ in range(60))
    [one] = encoded(tokenizer, text)
    found = chunked([one], length=128)
    assert np.mean([len(ids) for ids, _ in found[:-1]]) > 128 * 0.85


def test_a_document_is_cut_at_the_strongest_break_near_the_place(tokenizer):
    [one] = encoded(tokenizer, "\n\n".join(f"Paragraph {n}.\nIts second line." for n in range(20)))
    place = cut_near(one.marks, round(len(one.marks) * 0.9))
    assert tokenizer.decode(one.ids[place:]).startswith("Paragraph 18.")
