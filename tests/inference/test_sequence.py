"""Engines that answer one request after the other: a quantized KV cache, a draft model."""

import json
import shutil

import pytest

from forgellm.domain.chat import GenerationRequest, Message, Sampling
from forgellm.domain.errors import ForgeError, ModelNotLoaded
from forgellm.settings import packaged
from tests.inference.conftest import GREEDY, ask, load, poll, source

QUESTION = "When is the rope market of Alder Quay held?"
SCHEMA = {"enum": ["rope", "salt"]}
LONG = Sampling(max_tokens=400, temperature=0)


@pytest.fixture(scope="session")
def wide(tiny_model, tmp_path_factory):
    """The same weights as two heads of 32, which a quantized cache can take."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("wide") / "wide")
    config = json.loads((folder / "config.json").read_text())
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    (folder / "config.json").write_text(json.dumps({**config, **heads}))
    return folder


@pytest.fixture
def drafted(shared, tiny_model):
    """The tiny model just loaded, beside itself as the draft."""
    made = shared(draft=source(tiny_model))
    load(made, tiny_model)
    return made


@pytest.fixture
def quantized(shared, wide):
    """The wide model just loaded, with a cache of 8 bits."""
    made = shared(kv_bits=8)
    load(made, wide)
    return made


def test_a_draft_model_changes_nothing_of_the_answer(drafted, engine):
    for question in (QUESTION, "And of Brinmoor?"):
        assert ask(drafted, question)[0] == ask(engine, question)[0]


def test_a_schema_is_followed_beside_a_draft_model(drafted):
    assert json.loads(ask(drafted, QUESTION, schema=SCHEMA)[0]) in SCHEMA["enum"]


def test_a_schema_is_followed_where_the_prompt_is_known(quantized):
    ask(quantized, QUESTION)
    answer, finish = ask(quantized, QUESTION, schema=SCHEMA)
    assert finish.cached_tokens
    assert json.loads(answer) in SCHEMA["enum"]


def test_a_draft_model_of_another_vocabulary_is_refused(start, tiny_model):
    drafted = start(draft=source(packaged("assets") / "lough-tiny"))
    with pytest.raises(ModelNotLoaded, match="tokens, the model"):
        load(drafted, tiny_model)


def test_a_quantized_cache_answers_and_is_reused(quantized, shared, wide):
    plain = shared()
    load(plain, wide)
    first, finish = ask(quantized, QUESTION)
    assert first == ask(plain, QUESTION)[0]
    turns = (Message("user", QUESTION), Message("assistant", first), Message("user", "And honey?"))
    _, reused = ask(quantized, messages=turns)
    assert reused.cached_tokens >= finish.prompt_tokens - 1


def test_heads_too_narrow_for_a_quantized_cache_are_refused(start, tiny_model):
    narrow = start(kv_bits=4)
    with pytest.raises(ModelNotLoaded, match="heads are 16 wide"):
        load(narrow, tiny_model)


def test_requests_wait_for_one_another_and_may_leave(drafted):
    request = GenerationRequest((Message("user", QUESTION),), sampling=LONG)
    streams = [drafted.generate(request) for _ in range(4)]
    next(iter(streams[0]))
    for stream in streams:
        stream.cancel()
    poll(lambda: drafted.status().active_requests == 0)
    assert ask(drafted, QUESTION, sampling=GREEDY)[1].completion_tokens == 12


def test_a_request_that_cannot_be_begun_is_told_so(drafted):
    no_key = Sampling(max_tokens=3, temperature=1.0, seed=-1)
    stream = drafted.generate(GenerationRequest((Message("user", QUESTION),), sampling=no_key))
    poll(lambda: drafted.status().active_requests == 0)
    with pytest.raises(ForgeError, match="could not answer"):
        list(stream)
    assert ask(drafted, QUESTION)[1].completion_tokens == 12


def test_the_plain_base_is_asked_in_between(drafted, tiny_model, adapters):
    base = ask(drafted, QUESTION)[0]
    load(drafted, tiny_model, adapters["lora"])
    assert ask(drafted, QUESTION)[0] != base
    assert ask(drafted, QUESTION, plain_base=True)[0] == base


def test_a_model_without_a_system_role_is_told_in_the_first_question(shared, tiny_model, tmp_path):
    strict = shutil.copytree(tiny_model, tmp_path / "strict")
    config = json.loads((strict / "tokenizer_config.json").read_text())
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        + config["chat_template"]
    )
    (strict / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    fresh = shared()
    load(fresh, strict)
    told = (Message("system", "Be brief."), Message("user", QUESTION))
    folded = (Message("user", f"Be brief.\n\n{QUESTION}"),)
    assert ask(fresh, messages=told)[0] == ask(fresh, messages=folded)[0]
