"""Answers of the weights under training tell what they have learned, and leave the training as it was."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.tuner.trainer import grad_checkpoint

from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidField
from forgellm.storage.adapters import config_of
from forgellm.training import samples
from forgellm.training.adapters import attach, load_base
from forgellm.training.samples import Questions, answer, questions
from tests.training.loops import Run, a_spec
from tests.training.test_resume import HARD, same_weights

PROMPTS = ("In Alder Quay the makers of", "When is the rope market of Brinmoor held?")


@pytest.fixture(scope="module")
def asked(tiny_model: Path) -> Questions:
    return questions(load_tokenizer(tiny_model), PROMPTS, as_chat=False, ends={2}, longest=512)


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    """Random weights never end by themselves."""
    monkeypatch.setattr(samples, "LONGEST", 6)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_answering_changes_nothing_about_the_training_nor_about_a_resume(
    run_loop: Run, tmp_path: Path, asked: Questions, compiled: bool
) -> None:
    spec = a_spec(**HARD | {"max_iterations": 8})
    silent = run_loop(spec, folder=tmp_path / "silent", compiled=compiled)
    whole = run_loop(spec, folder=tmp_path / "whole", compiled=compiled, asked=asked)
    first = run_loop(spec, folder=tmp_path / "cut", commands={5: "pause"}, compiled=compiled, asked=asked)
    second = run_loop(spec, folder=tmp_path / "cut", compiled=compiled, asked=asked)
    assert whole.losses == first.losses + second.losses == silent.losses
    assert same_weights(whole, silent)
    assert same_weights(second, silent)


def test_the_weights_of_every_checkpoint_answer_every_prompt(
    run_loop: Run, tmp_path: Path, asked: Questions
) -> None:
    run = run_loop(a_spec(max_iterations=8, learning_rate=1e-2), folder=tmp_path / "run", asked=asked)
    said = [(e["iteration"], e["prompt"]) for e in run.recorder.events if e["type"] == "sample"]
    assert said == [(iteration, prompt) for iteration in (0, 4, 8) for prompt in PROMPTS]
    last = [answer(run.model, question, asked).text for question in asked.asked]
    assert run.recorder.values("sample", "text")[-2:] == last
    assert last != run.recorder.values("sample", "text")[:2]


def test_activations_computed_twice_do_not_change_an_answer(
    tiny_model: Path, asked: Questions, monkeypatch
) -> None:
    model, _ = load_base(tiny_model)
    attach(model, config_of(a_spec()))
    plain = answer(model, asked.asked[0], asked)
    block = type(model.layers[0])
    # It is changed for the whole process, and put back after this test.
    monkeypatch.setattr(block, "__call__", block.__call__)
    grad_checkpoint(model.layers[0])
    assert answer(model, asked.asked[0], asked) == plain


def test_whoever_stops_the_run_does_not_wait_for_answers(
    run_loop: Run, tmp_path: Path, asked: Questions
) -> None:
    run = run_loop(a_spec(), folder=tmp_path / "run", commands={0: "stop"}, asked=asked)
    assert run.ending.type == "stopped"
    assert run.recorder.values("sample", "text") == []


def test_an_answer_is_what_a_whole_forward_pass_makes_likeliest(tiny_model: Path, asked: Questions) -> None:
    model, _ = load_base(tiny_model)
    tokens = list(asked.asked[0].tokens)
    for _ in range(6):
        tokens.append(int(mx.argmax(model(mx.array([tokens]))[0, -1]).item()))
    expected = asked.decode(tokens[-6:])
    assert answer(model, asked.asked[0], asked).text == expected.rstrip("\N{REPLACEMENT CHARACTER}")


def test_a_question_is_asked_in_the_models_form_of_conversation(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    asked = questions(tokenizer, PROMPTS[:1], as_chat=True, ends=(), longest=512).asked[0]
    assert tokenizer.decode(asked.tokens).endswith("the makers of<|im_end|>\n<|im_start|>assistant\n")


def test_an_answer_ends_with_what_the_chat_template_ends_it_with(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.eos_token = "<|endoftext|>"
    for as_chat, ends in ((True, {0, 2}), (False, {0})):
        assert questions(tokenizer, PROMPTS, as_chat=as_chat, ends={0}, longest=512).ends == ends


def test_a_prompt_longer_than_a_sequence_is_refused_by_its_number(tiny_model: Path, asked: Questions) -> None:
    longest = len(asked.asked[0].tokens)
    prompts = (PROMPTS[0], PROMPTS[0] * 2)
    with pytest.raises(InvalidField, match="sample prompt 2 has"):
        questions(load_tokenizer(tiny_model), prompts, as_chat=False, ends=(), longest=longest)
