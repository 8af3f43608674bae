import itertools
import os
import shutil
from contextlib import ExitStack

import pytest
from mlx_lm.utils import load_tokenizer

from forgellm.domain.errors import InvalidField, TemplateTimeout
from forgellm.inference.prompts import chat_form
from forgellm.inference.rendering import Renderer
from forgellm.web.serving import raise_descriptor_limit
from tests.conftest import end_with_the_text_alone

MESSAGES = [{"role": "user", "content": "Hello"}]
GREETING = "{% for m in messages %}{{ bos_token + m.role + ': ' + m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def renderer(worker_environment):
    made = Renderer(worker_environment, seconds=1.0)
    yield made
    made.close()


def test_what_a_chat_template_ends_an_answer_with_ends_one(renderer, tiny_model, tmp_path):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    end_with_the_text_alone(base)
    form = chat_form(load_tokenizer(base, eos_token_ids=0), renderer)
    assert form.tokenizer.eos_token_ids == {0, 2}


def test_a_template_sees_the_messages_and_the_variables(renderer):
    assert renderer.render(GREETING, MESSAGES, variables={"bos_token": "<s>"}) == "<s>user: Hello"


def test_a_template_may_refuse_the_messages(renderer):
    with pytest.raises(InvalidField, match="user and assistant must alternate"):
        renderer.render("{{ raise_exception('user and assistant must alternate') }}", MESSAGES, variables={})
    with pytest.raises(InvalidField, match="refuses"):
        renderer.render("{% if %}", MESSAGES, variables={})


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set x = 'a' * 9999999999999 %}{{ x }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_that_would_take_for_ever_or_all_memory_is_ended(renderer, template):
    with pytest.raises((TemplateTimeout, InvalidField)):
        renderer.render(template, MESSAGES, variables={})
    assert renderer.render(GREETING, MESSAGES, variables={"bos_token": ""}) == "user: Hello"


@pytest.mark.parametrize("template", ["{{ '\\ud800' }}", "{{ 'a'.encode('no such code') }}"])
def test_a_text_that_is_none_is_refused(renderer, template):
    with pytest.raises(InvalidField, match="refuses"):
        renderer.render(template, MESSAGES, variables={})


def test_the_time_is_over_though_text_keeps_coming(worker_environment):
    ticks = itertools.count()
    renderer = Renderer(worker_environment, seconds=100.0, monotonic=lambda: float(next(ticks)))
    try:
        assert renderer.render("{{ 'x' * 200000 }}", MESSAGES, variables={})
        with pytest.raises(TemplateTimeout):
            renderer.render("{{ 'x' * 50000000 }}", MESSAGES, variables={})
    finally:
        renderer.close()


def test_a_long_conversation_fits_through(renderer):
    long = [{"role": "user", "content": "é" * 500_000}]
    assert renderer.render("{{ messages[0].content }}", long, variables={}) == "é" * 500_000


def test_a_crowd_of_connections_leaves_room_to_render(worker_environment):
    raise_descriptor_limit()
    with ExitStack() as crowd:
        for _ in range(1100):
            crowd.callback(os.close, os.dup(0))
        renderer = Renderer(worker_environment, seconds=10.0)
        crowd.callback(renderer.close)
        assert renderer.render(GREETING, MESSAGES, variables={"bos_token": ""}) == "user: Hello"
