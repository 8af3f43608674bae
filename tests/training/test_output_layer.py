"""The output layer is found by listening, and only what is proven is used."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten

from forgellm.cli.wording import event_line
from forgellm.training.output_layer import After, OutputLayer, Unproven, output_layer
from tests.training.architectures import VOCABULARY, a_model, adapted


class Around(nn.Module):
    """A model around another, whose logits it changes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.language_model = inner

    def __call__(self, tokens: mx.array) -> mx.array:
        return self.changed(self.language_model(tokens))

    def changed(self, logits: mx.array) -> mx.array:
        return logits


class Shifted(Around):
    def changed(self, logits: mx.array) -> mx.array:
        return logits + mx.arange(logits.shape[-1]) / 100


class Squared(Around):
    def changed(self, logits: mx.array) -> mx.array:
        return logits * mx.abs(logits)


class Twice(Around):
    def changed(self, logits: mx.array) -> mx.array:
        inner = self.language_model
        return logits + inner.lm_head(inner.model.embed_tokens(mx.argmax(logits, axis=-1)))


class Pair(Around):
    def changed(self, logits: mx.array) -> tuple[mx.array, None]:  # type: ignore[override]
        return logits, None


class Particular(Around):
    def changed(self, logits: mx.array) -> mx.array:
        return logits.reshape(*logits.shape[:2], VOCABULARY)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("gemma2", After(cap=3.0)),
        ("cohere", After(scale=0.0625)),
        ("granite", After(scale=pytest.approx(1 / 6))),
        ("qwen2", After()),
    ],
)
def test_what_follows_the_layer_is_read_off_the_model(kind: str, after: After) -> None:
    found = output_layer(a_model(kind))
    assert isinstance(found, OutputLayer)
    assert found.after == after


def test_a_model_inside_another_is_found() -> None:
    model = Around(a_model("llama", tied=False))
    found = output_layer(model)
    assert isinstance(found, OutputLayer)
    assert found.module is model.language_model.lm_head


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: Shifted(a_model("llama")), "neither a factor nor a soft cap"),
        (lambda: Squared(a_model("llama")), "neither a factor nor a soft cap"),
        (lambda: Twice(a_model("llama", tied=False)), "2 layers could be"),
        (lambda: Particular(a_model("llama")), "cannot be listened to"),
        (lambda: Pair(a_model("llama")), "more than logits"),
        (lambda: a_model("minicpm"), "0 layers could be"),
    ],
    ids=["shifted", "squared", "called twice", "particular", "pair", "no layer"],
)
def test_what_cannot_be_proven_is_told(model: object, reason: str) -> None:
    found = output_layer(model())  # type: ignore[operator]
    assert isinstance(found, Unproven)
    assert reason in found.reason


class Failing(Around):
    def changed(self, logits: mx.array) -> mx.array:
        raise RuntimeError("[METAL] Command buffer execution failed: Caused GPU Timeout Error (1)")


def test_a_gpu_that_was_interrupted_proves_nothing_about_the_model() -> None:
    with pytest.raises(RuntimeError, match="GPU Timeout"):
        output_layer(Failing(a_model("llama")))


def test_looking_for_it_changes_nothing() -> None:
    model = adapted(a_model("llama", tied=False), "lm_head", "self_attn.q_proj")
    model.train()
    weights, state = tree_flatten(model.parameters()), mx.random.state[0].tolist()
    assert isinstance(output_layer(model), OutputLayer)
    assert model.training
    assert mx.random.state[0].tolist() == state
    after = tree_flatten(model.parameters())
    assert [(name, id(value)) for name, value in after] == [(name, id(value)) for name, value in weights]
    assert type(model.lm_head).__name__ == "LoRALinear"


def test_the_log_says_why_logits_are_whole() -> None:
    event = {"type": "phase", "phase": "training", "whole_logits": "no layer"}
    assert event_line(event) == "Training, with logits for every token at once: no layer"
    assert event_line(event | {"whole_logits": None}) == "Training"
