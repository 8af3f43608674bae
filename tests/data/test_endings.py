"""Where a model's files do not name the token that its template ends an answer with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgellm.data.endings import unnamed_end
from forgellm.data.tokens import load_tokenizer
from tests.data.conftest import with_shape
from tests.data.templates import SHAPES, Shape

TEXT_END = 0


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "phi3"])
def test_what_examples_teach_to_end_with_is_found_unless_it_is_known(
    shaped: dict[str, Any], name: str
) -> None:
    tokenizer = shaped[name]
    end = tokenizer.convert_tokens_to_ids(SHAPES[name].ends)
    assert unnamed_end(tokenizer, {TEXT_END}) == end
    assert unnamed_end(tokenizer, {TEXT_END, end}) is None


def test_what_stands_before_a_known_end_is_none_by_itself(tiny_model: Path) -> None:
    # As templates that close a thought and what is said with the same token.
    closing = "{{ m.content + '<|close|><|im_end|>' if m.role == 'assistant' else m.content }}"
    shape = Shape("{% for m in messages %}" + closing + "{% endfor %}", ("<|close|>",), "")
    tokenizer = with_shape(load_tokenizer(tiny_model), shape)
    assert unnamed_end(tokenizer, {tokenizer.eos_token_id}) is None


def test_a_template_that_shows_no_answer_or_no_end_has_none(tiny_model: Path) -> None:
    for template in (
        "{{ bos_token }}{{ messages[0].content }}",
        "{% for m in messages %}{{ m.content }}{% endfor %}",
    ):
        tokenizer = with_shape(load_tokenizer(tiny_model), Shape(template, (), ""))
        assert unnamed_end(tokenizer, {TEXT_END}) is None
