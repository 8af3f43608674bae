"""Exactly what a model learns from: every assistant's turn with its end-of-turn token, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgellm.data.chat import chat_format, prompt
from forgellm.data.documents import Document
from forgellm.data.encoding import encode_documents
from forgellm.data.masking import EncodedExample, encode_examples
from forgellm.data.records import Example, Message
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidModel
from tests.data.conftest import with_shape
from tests.data.templates import MISTRAL, SHAPES, Shape

WORDS = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\0<>|[]", exclude_categories=["Cc", "Cs"])
    | st.sampled_from(" \n"),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip() != "")
CONVERSATIONS = st.tuples(st.none() | WORDS, st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))


def example(system, turns):
    messages = [] if system is None else [Message("system", system)]
    for question, answer in turns:
        messages += [Message("user", question), Message("assistant", answer)]
    return Example(tuple(messages), "d/train.jsonl", 1)


def encoded(tokenizer, examples):
    """(ids, learned) of the examples, and the problems of those that the template refuses."""
    found = list(encode_examples(tokenizer, examples))
    masked = [(one.ids, one.learned) for one in found if isinstance(one, EncodedExample)]
    return masked, [one[1] for one in found if not isinstance(one, EncodedExample)]


def learned_pieces(tokenizer, one):
    """The text of each unbroken stretch of learned tokens."""
    [(ids, learned)], problems = encoded(tokenizer, [one])
    assert problems == []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], learned.astype(int), [0]])))
    return [decode(tokenizer, ids[a:b]) for a, b in edges.reshape(-1, 2)]


def decode(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def with_thought(name, answers):
    """What is learned before the last answer, between generation prompt and text."""
    if name == "qwen3":
        return [*answers[:-1], "<think>\n\n</think>\n\n" + answers[-1].lstrip("\n")]
    return [*answers[:-1], "\n</think>\n\n" + answers[-1].lstrip()] if name == "r1" else answers


def test_white_space_that_a_template_trims_does_not_move_where_the_answer_begins(shaped):
    assert learned_pieces(shaped["llama3"], example(None, [("Where?", "\n0")])) == ["0<|eot_id|>"]


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "mistral"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=CONVERSATIONS)
def test_decoding_what_is_learned_gives_every_answer_with_its_end(shaped, name, conversation):
    system, turns = conversation
    shape = SHAPES[name]
    answers = with_thought(name, [a.strip() if shape.trims else a for _, a in turns])
    pieces = learned_pieces(shaped[name], example(system, turns))
    # An answer's first white space may share a token with the header; then the model is not taught it.
    assert [p.lstrip() for p in pieces] == [a.lstrip() + shape.ends for a in answers]
    assert all((a + shape.ends).endswith(p) for p, a in zip(pieces, answers, strict=True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=CONVERSATIONS)
def test_an_answer_that_nothing_announces_begins_after_the_question(shaped, conversation):
    system, turns = conversation
    pieces = learned_pieces(shaped["mistral"], example(system, turns))
    assert pieces == [f" {answer.strip()}</s>" for _, answer in turns]


@pytest.mark.parametrize("name", ["chatml", "llama3", "phi3", "generation tag"])
def test_an_answer_without_outer_white_space_is_learned_to_the_letter(shaped, name):
    turns = [
        ("When?", "On Monday."),
        ("And where?", "At the quay:\n\n- left\n- right"),
        ("Who?", "¿Él? 你好 👩🏽‍🚀"),
    ]
    expected = [answer + SHAPES[name].ends for _, answer in turns]
    assert learned_pieces(shaped[name], example("Be brief.", turns)) == expected


def test_white_space_that_its_own_tokens_carry_is_learned(tokenizer):
    assert learned_pieces(tokenizer, example(None, [("Code?", "    return 1\n")])) == [
        "    return 1\n<|im_end|>"
    ]


def test_thinking_is_learned_where_the_template_keeps_it_and_not_where_it_drops_it(shaped):
    turns = [("1?", "<think>a</think>\n\none"), ("2?", "<think>b</think>\n\ntwo")]
    assert learned_pieces(shaped["qwen3"], example(None, turns)) == [
        "one<|im_end|>",
        "<think>\nb\n</think>\n\ntwo<|im_end|>",
    ]
    assert learned_pieces(shaped["chatml"], example(None, turns)) == [
        "<think>a</think>\n\none<|im_end|>",
        "<think>b</think>\n\ntwo<|im_end|>",
    ]
    assert [p.strip() for p in learned_pieces(shaped["r1"], example(None, turns))] == [
        "one<|end_of_sentence|>",
        "b\n</think>\n\ntwo<|end_of_sentence|>",
    ]


def test_the_whole_text_is_what_the_template_makes_of_the_messages(shaped):
    one = example("Be brief.", [("When?", "On Monday."), ("Where?", "At the quay.")])
    for name, tokenizer in shaped.items():
        if name in ("gemma", "gemma4", "r1"):
            continue
        [(ids, _)], _ = encoded(tokenizer, [one])
        messages = [{"role": m.role, "content": m.content} for m in one.messages]
        assert decode(tokenizer, ids) == tokenizer.apply_chat_template(messages, tokenize=False), name


def test_white_space_of_an_earlier_answer_that_is_trimmed_is_not_taken_for_its_header(shaped):
    turns = [("When?", "\nNow."), ("Where?", "Here.")]
    assert learned_pieces(shaped["gemma4"], example(None, turns)) == ["Now.<turn|>", "Here.<turn|>"]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_the_last_answer_follows_exactly_what_the_model_is_given_to_answer(shaped, name, system):
    for turns in (
        [("When?", "On Monday.")],
        [("When?", "On Monday."), ("Where?", "<think>x</think>\n\nHere.")],
    ):
        one = example(system, turns)
        [(ids, learned)], _ = encoded(shaped[name], [one])
        asked = prompt(chat_format(shaped[name]), one.messages[:-1])
        last = int(np.flatnonzero(~learned[: np.flatnonzero(learned)[-1]])[-1]) + 1
        assert ids[:last].tolist() == shaped[name].encode(asked, add_special_tokens=False)


def test_an_answer_is_learned_behind_the_empty_thought_that_asks_for_it(shaped):
    [(ids, _)], _ = encoded(shaped["gemma4"], [example(None, [("When?", "Now."), ("Where?", "Here.")])])
    first = "<bos><|turn>user\nWhen?<turn|>\n<|turn>model\nNow.<turn|>\n<|turn>user\nWhere?<turn|>\n"
    asked = "<|turn>model\n<|channel>thought\n<channel|>"
    assert decode(shaped["gemma4"], ids) == f"{first}{asked}Here.<turn|>\n"


def test_a_template_without_a_system_role_gets_the_system_prompt_in_the_first_question(shaped):
    [(ids, _)], _ = encoded(shaped["gemma"], [example("Be brief.", [("When?", "Now.")])])
    text = (
        "<bos><start_of_turn>user\nBe brief.\n\nWhen?<end_of_turn>\n<start_of_turn>model\nNow.<end_of_turn>\n"
    )
    assert decode(shaped["gemma"], ids) == text


def test_a_template_that_loses_the_system_role_in_silence_gets_it_in_the_first_question(tiny_model):
    lossy = (
        "{% for m in messages %}"
        "{% if m.role != 'system' %}{{ m.content + '<|im_end|>' }}{% endif %}"
        "{% endfor %}"
    )
    tokenizer = with_shape(load_tokenizer(tiny_model), Shape(lossy, (), "<|im_end|>"))
    [(ids, _)], _ = encoded(tokenizer, [example("Be brief.", [("When?", "Now.")])])
    assert decode(tokenizer, ids) == "Be brief.\n\nWhen?<|im_end|>Now.<|im_end|>"


def test_the_beginning_of_text_token_stands_there_once(shaped):
    [(ids, _)], _ = encoded(shaped["llama3"], [example(None, [("a", "b")])])
    assert decode(shaped["llama3"], ids).count("<|begin_of_text|>") == 1


def test_a_model_without_a_template_learns_answers_that_end(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = None
    one = example(None, [("When?", "Now."), ("Where?", "Here.")])
    assert learned_pieces(tokenizer, one) == ["Now.<|im_end|>", "Here.<|im_end|>"]


def test_a_template_that_never_ends_an_answer_gets_the_end_of_text_token(tiny_model):
    open_ended = "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    tokenizer = with_shape(load_tokenizer(tiny_model), Shape(open_ended, (), ""))
    pieces = learned_pieces(tokenizer, example(None, [("When?", "Now."), ("Where?", "Here.")]))
    assert [p.strip() for p in pieces] == ["Now.", "Here.<|im_end|>"]


def test_pieces_with_a_space_in_front_are_masked_exactly(metaspace_tokenizer):
    tokenizer = with_shape(metaspace_tokenizer, MISTRAL)
    pieces = learned_pieces(
        tokenizer, example("the town", [("the market", "every day"), ("of", "ünïcode 日")])
    )
    assert [p.strip() for p in pieces] == ["every day</s>", "ünïcode 日</s>"]


def test_an_answer_that_repeats_the_question_is_learned_only_where_it_is_the_answer(shaped):
    for name, tokenizer in shaped.items():
        pieces = learned_pieces(tokenizer, example(None, [("yes", "yes"), ("assistant\n", "yes")]))
        assert [p.endswith(f"yes{SHAPES[name].ends}") for p in pieces] == [True, True], name


def test_turns_that_a_template_refuses_are_a_problem_with_their_line(shaped):
    twice = (Message("user", "a"), Message("user", "b"), Message("assistant", "c"))
    good = example(None, [("a", "b")])
    masked, problems = encoded(shaped["gemma"], [good, Example(twice, "d/train.jsonl", 7), good])
    assert len(masked) == 2
    assert [(p.file, p.line) for p in problems] == [("d/train.jsonl", 7)]
    assert "must alternate" in problems[0].reason


def test_a_template_that_rewrites_an_answer_is_refused_rather_than_masked_wrongly(tiny_model):
    shouting = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + "
        "(m.content | upper if 'shout' in m.content else m.content) + '<|im_end|>' }}{% endfor %}"
    )
    tokenizer = with_shape(load_tokenizer(tiny_model), Shape(shouting, (), "<|im_end|>"))
    masked, problems = encoded(tokenizer, [example(None, [("a", "shout it")])])
    assert masked == []
    assert "cannot be told apart" in problems[0].reason


def test_a_broken_template_is_an_error_of_the_model(tiny_model):
    tokenizer = with_shape(load_tokenizer(tiny_model), Shape("{% for m in messages %}", (), ""))
    with pytest.raises(InvalidModel, match="chat template"):
        encoded(tokenizer, [example(None, [("a", "b")])])


def test_many_examples_are_masked_like_each_alone(tokenizer):
    examples = [example(None, [(f"question {n}", f"answer {n} " * (n % 7 + 1))]) for n in range(50)]
    together, _ = encoded(tokenizer, examples)
    for one, (ids, learned) in zip(examples, together, strict=True):
        [(alone, mask)], _ = encoded(tokenizer, [one])
        assert np.array_equal(ids, alone)
        assert np.array_equal(learned, mask)


def test_a_document_ends_with_one_end_of_text_token(tokenizer):
    texts = ["In Brinmoor", "In Brinmoor<|im_end|>"]
    first, second = (
        one.ids.tolist() for one in encode_documents(tokenizer, [Document("d", t) for t in texts])
    )
    assert first == second
    assert first[-1] == tokenizer.eos_token_id
    assert decode(tokenizer, first[:-1]) == "In Brinmoor"


def test_a_tokenizer_file_that_asks_for_truncation_cuts_nothing(tiny_model, tmp_path):
    cutting = load_tokenizer(tiny_model)
    cutting.backend_tokenizer.enable_truncation(4)
    cutting.save_pretrained(tmp_path)
    [one] = encode_documents(load_tokenizer(tmp_path), [Document("d", "a b c d e f g h i j k")])
    assert len(one.ids) > 10


def test_a_folder_without_a_tokenizer_is_an_invalid_model(tmp_path):
    with pytest.raises(InvalidModel, match="tokenizer"):
        load_tokenizer(tmp_path)
