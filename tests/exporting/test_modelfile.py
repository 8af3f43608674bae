"""The template of a Modelfile writes what the model's own template writes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from forgellm.data.chat import ChatFormat, chat_format, prompt
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.chat import Message
from forgellm.domain.errors import UnsupportedExport
from forgellm.exporting.modelfile import modelfile, rendered, take_apart
from tests.data.conftest import with_shape
from tests.data.templates import SHAPES

SYSTEM = Message("system", "Be kind.")
TALK = [Message("user", "Who?"), Message("assistant", "{{ me }}"), Message("user", "Oh\nyes")]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(tiny_model)


def form_of(tokenizer: Any, shape: str) -> ChatFormat:
    return chat_format(with_shape(copy.deepcopy(tokenizer), SHAPES[shape]))


@pytest.mark.parametrize("shape", ["chatml", "llama3", "gemma", "phi3", "qwen2.5", "qwen3", "r1"])
def test_conversations_come_out_as_the_models_own_template_writes_them(tokenizer: Any, shape: str) -> None:
    form = form_of(tokenizer, shape)
    turns = take_apart(form)
    for messages in (TALK[:1], TALK, [SYSTEM, *TALK]):
        assert rendered(turns, messages) == prompt(form, messages)


def test_a_template_that_does_more_is_refused(tokenizer: Any) -> None:
    with pytest.raises(UnsupportedExport, match="cannot be written for Ollama"):
        take_apart(form_of(tokenizer, "mistral"))


def test_the_file_has_weights_template_and_stop_words(tokenizer: Any) -> None:
    text = modelfile("m.gguf", form_of(tokenizer, "chatml"), stops=["<|im_end|>"], begin="")
    assert text == (
        "FROM ./m.gguf\n"
        'TEMPLATE """{{ range $n, $message := .Messages }}'
        '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        '{{ end }}{{ end }}<|im_start|>assistant\n"""\n'
        'PARAMETER stop "<|im_end|>"\n'
    )


def test_what_llama_cpp_puts_in_front_is_not_there_twice(tokenizer: Any) -> None:
    form = form_of(tokenizer, "gemma")
    assert '"""<bos>' in modelfile("m.gguf", form, stops=[], begin="")
    text = modelfile("m.gguf", form, stops=[], begin="<bos>")
    assert "<bos>" not in text
    # Without a role for it the system prompt heads the first question, which then begins no turn of its own.
    assert '{{ if eq .Role "system" }}<start_of_turn>user\n{{ .Content }}\n\n' in text
    assert '{{ if or (ne $n 1) (ne (index $.Messages 0).Role "system") }}<start_of_turn>user' in text
