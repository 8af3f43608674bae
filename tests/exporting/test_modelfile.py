"""The template of a Modelfile writes what the model's own template writes."""

from __future__ import annotations

import copy
import json
import re
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


def read_as_go(template: str) -> str:
    """What Go writes of text and quoted text; as there, an action begins at the first two braces."""
    written = ""
    while (at := template.find("{{")) >= 0:
        action, _, rest = template[at + 2 :].partition("}}")
        written += template[:at] + ("CONTENT" if action == " .Content " else json.loads(action))
        template = rest
    return written + template


@pytest.mark.parametrize(
    "before",
    ["{", "{{", "{{{", "[{", "{{%{", "{a}", '"', '""', '{"role": "user", "content": "', '"{', "}}", "plain"],
)
def test_braces_and_quotation_marks_around_a_message_are_text(tokenizer: Any, before: str) -> None:
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + BEFORE + m['content'] + AFTER }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant' + BEFORE }}{% endif %}"
    )
    changed = copy.deepcopy(tokenizer)
    texts = {"BEFORE": json.dumps(before), "AFTER": json.dumps(before[::-1] + "<|im_end|>")}
    for name, text in texts.items():
        template = template.replace(name, text)
    changed.chat_template = template
    text = modelfile("m.gguf", chat_format(changed), stops=[], begin="")
    inner = text.split('TEMPLATE """', 1)[1].removesuffix('"""\n')
    assert '"""' not in inner
    assert not inner.startswith('"')
    assert not inner.endswith('"')
    asks = re.search(r'eq .Role "user" }}(.*?){{ else', inner, re.DOTALL)
    assert asks is not None
    assert read_as_go(asks[1]) == f"<|im_start|>user{before}CONTENT{before[::-1]}<|im_end|>"
    assert read_as_go(inner.rpartition("{{ end }}{{ end }}")[2]) == f"<|im_start|>assistant{before}"


def test_what_llama_cpp_puts_in_front_is_not_there_twice(tokenizer: Any) -> None:
    form = form_of(tokenizer, "gemma")
    assert '"""<bos>' in modelfile("m.gguf", form, stops=[], begin="")
    text = modelfile("m.gguf", form, stops=[], begin="<bos>")
    assert "<bos>" not in text
    # Without a role for it the system prompt heads the first question, which then begins no turn of its own.
    assert '{{ if eq .Role "system" }}<start_of_turn>user\n{{ .Content }}\n\n' in text
    assert '{{ if or (ne $n 1) (ne (index $.Messages 0).Role "system") }}<start_of_turn>user' in text
