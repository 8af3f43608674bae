import json
import math
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlx_lm import load as mlx_lm_load
from mlx_lm import stream_generate

from forgellm.domain.chat import GenerationRequest, Message, Sampling
from forgellm.domain.errors import (
    ForgeError,
    GpuInterrupted,
    InvalidField,
    InvalidModel,
    ModelBusy,
    ModelNotLoaded,
    TemplateTimeout,
)
from forgellm.inference.board import Board
from tests.inference.conftest import GREEDY, ask, load, poll, source

METAL = "[METAL] Command buffer execution failed"
QUESTION = "When is the rope market of Alder Quay held?"
LONG = Sampling(max_tokens=400, temperature=0)


def test_the_answer_is_the_one_that_mlx_lm_gives(engine, tiny_model):
    model, tokenizer = mlx_lm_load(str(tiny_model))
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True
    )
    theirs = "".join(r.text for r in stream_generate(model, tokenizer, prompt, max_tokens=12))
    answer, finish = ask(engine, QUESTION)
    assert answer == theirs
    assert (finish.reason, finish.completion_tokens, finish.prompt_tokens) == ("length", 12, len(prompt))
    assert finish.first_token_seconds < finish.seconds
    assert finish.tokens_per_second > 0


def test_many_at_once_are_answered_as_each_would_be_alone(engine):
    questions = [f"{QUESTION} {n}" for n in range(20)]
    alone = [ask(engine, question)[0] for question in questions]
    with ThreadPoolExecutor(20) as clients:
        together = list(clients.map(lambda question: ask(engine, question)[0], questions))
    assert together == alone
    assert len(set(alone)) > 1


def test_a_seed_repeats_its_text_whoever_else_asks(engine):
    seeded = Sampling(max_tokens=12, temperature=1.0, seed=7)
    first = ask(engine, QUESTION, sampling=seeded)[0]
    others = [threading.Thread(target=ask, args=(engine, f"other {n}")) for n in range(3)]
    for other in others:
        other.start()
    assert ask(engine, QUESTION, sampling=seeded)[0] == first
    for other in others:
        other.join()
    different = {ask(engine, QUESTION, sampling=Sampling(12, 1.0, seed=n))[0] for n in range(8, 12)}
    assert len(different | {first}) > 2


def test_the_beginning_of_a_conversation_is_computed_once(engine):
    first, finish = ask(engine, QUESTION)
    turns = (Message("user", QUESTION), Message("assistant", first), Message("user", "And of Brinmoor?"))
    again, reused = ask(engine, messages=turns)
    assert finish.cached_tokens == 0
    assert reused.cached_tokens >= finish.prompt_tokens
    repeated, whole = ask(engine, messages=turns)
    assert repeated == again
    assert whole.cached_tokens == whole.prompt_tokens - 1


def test_an_answer_ends_at_a_stop_string_and_shows_nothing_of_it(engine):
    whole = ask(engine, QUESTION, sampling=LONG)[0]
    stop = whole[40:44]
    answer, finish = ask(engine, QUESTION, sampling=LONG, stop=(stop,))
    assert answer == whole[: whole.index(stop)]
    assert finish.reason == "stop"


def test_probabilities_come_with_every_token(engine):
    chunks = list(
        engine.generate(GenerationRequest((Message("user", QUESTION),), sampling=GREEDY, logprobs=3))
    )
    tokens = [token for chunk in chunks for token in chunk.tokens]
    assert len(tokens) == 12
    for token in tokens:
        assert token.logprob <= 0
        assert token.likeliest[0] == (token.text, pytest.approx(token.logprob))
        assert len(token.likeliest) == 3


def test_what_a_schema_rules_out_is_no_alternative(engine):
    request = GenerationRequest(
        (Message("user", QUESTION),), sampling=GREEDY, logprobs=5, schema={"type": "object"}
    )
    tokens = [token for chunk in engine.generate(request) for token in chunk.tokens]
    assert tokens[0].text.startswith("{")
    assert all(text.startswith("{") for text, _ in tokens[0].likeliest)
    assert all(math.isfinite(value) for token in tokens for _, value in token.likeliest)


def test_a_completion_goes_on_where_the_text_ends(engine):
    answer, finish = ask(engine, prompt="In Alder Quay the makers of", sampling=GREEDY)
    assert answer
    assert finish.prompt_tokens < 12


def test_an_answer_that_was_cut_off_goes_on_as_if_it_had_not_been(engine):
    question = "When is the rope market of Brinmoor held?"
    whole, finish = ask(engine, question, sampling=Sampling(max_tokens=24, temperature=0))
    begun, _ = ask(engine, question, sampling=Sampling(max_tokens=12, temperature=0))
    rest, more = ask(engine, question, sampling=Sampling(max_tokens=12, temperature=0), begun=begun)
    assert (begun + rest, more.prompt_tokens) == (whole, finish.prompt_tokens + 12)


def test_whoever_leaves_is_computed_for_no_longer(engine):
    for _ in range(10):
        stream = iter(engine.generate(GenerationRequest((Message("user", QUESTION),), sampling=LONG)))
        next(stream)
        stream.close()
    waiting = engine.generate(GenerationRequest((Message("user", QUESTION),), sampling=LONG))
    waiting.cancel()
    poll(lambda: engine.status().active_requests == 0)
    assert ask(engine, QUESTION)[1].completion_tokens == 12


def test_what_cannot_be_asked_at_all_is_not_counted(engine):
    with pytest.raises((TypeError, UnicodeEncodeError)):
        engine.generate(GenerationRequest(prompt="\ud800"))
    assert engine.status().active_requests == 0


def test_more_than_may_wait_are_turned_away(start, tiny_model):
    small = start(at_once=1, waiting=1)
    load(small, tiny_model)
    request = GenerationRequest((Message("user", QUESTION),), sampling=LONG)
    streams = [small.generate(request), small.generate(request)]
    with pytest.raises(ModelBusy, match="2 requests wait"):
        small.generate(request)
    status = small.status()
    assert (status.active_requests, status.waiting_requests) == (1, 1)
    for stream in streams:
        stream.cancel()
    poll(lambda: small.status().active_requests == 0)
    assert ask(small, QUESTION)[0]


def test_nothing_is_answered_before_a_model_is_loaded(start):
    empty = start()
    with pytest.raises(ModelNotLoaded, match="no model is loaded"):
        ask(empty, QUESTION)
    assert empty.status().loaded is False
    empty.unload()


def test_a_request_right_after_a_load_waits_for_it(shared, tiny_model):
    fresh = shared()
    fresh.load(source(tiny_model))
    assert fresh.status().is_loading
    assert ask(fresh, QUESTION)[0]
    status = fresh.status()
    assert (status.model_type, status.context_length) == ("instruct", 512)
    assert status.memory_bytes > 0


def test_a_failed_load_leaves_nothing_behind_and_says_why(engine, tiny_model, tmp_path):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((tiny_model / "model.safetensors").read_bytes()[:5000])
    engine.load(source(broken))
    with pytest.raises(ModelNotLoaded, match="broken cannot be loaded"):
        ask(engine, QUESTION)
    status = engine.status()
    assert (status.loaded, status.target, status.error["code"]) == (False, None, "INVALID_MODEL")
    load(engine, tiny_model)
    assert ask(engine, QUESTION)[0]
    assert engine.status().error is None


def test_whoever_asks_while_models_change_is_answered_by_one_of_them(engine, tiny_model, adapters):
    sources = [source(tiny_model), source(tiny_model, adapters["lora"])]
    short = Sampling(max_tokens=2, temperature=0)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, engine, f"{QUESTION} {n}", sampling=short) for n in range(60)]
        for n in range(30):
            engine.load(sources[n % 2])
            engine.wait_until_loaded()
        assert all(one.result()[1].completion_tokens == 2 for one in asked)


class Panic(BaseException):
    """As Rust's panics come to Python: no Exception."""


class Panicking(float):
    def __lt__(self, other):
        raise Panic("like a panic in a library")


def test_a_panic_ends_a_request_and_not_the_engine(engine):
    with pytest.raises(ForgeError, match="like a panic"):
        ask(engine, QUESTION, sampling=Sampling(temperature=Panicking(0.5)))
    assert ask(engine, QUESTION)[0]
    assert engine.status().active_requests == 0


class Interrupted(float):
    def __lt__(self, other):
        raise RuntimeError(f"{METAL}: Impacting Interactivity (1)")


def test_an_answer_that_the_gpu_was_interrupted_in_says_so_and_the_next_one_comes(engine):
    with pytest.raises(GpuInterrupted, match="Impacting") as ended:
        ask(engine, QUESTION, sampling=Sampling(temperature=Interrupted(0.5)))
    assert ended.value.suggestion.startswith("Ask again.")
    assert ask(engine, QUESTION)[0]


@pytest.mark.parametrize(
    ("reason", "code"), [("Insufficient Memory", "OUT_OF_MEMORY"), ("GPU Timeout Error", "GPU_INTERRUPTED")]
)
def test_a_load_that_metal_ended_is_not_blamed_on_the_model(shared, tiny_model, monkeypatch, reason, code):
    def load_model(*_):
        raise RuntimeError(f"{METAL}: {reason} (1)")

    # That of mlx-lm.
    monkeypatch.setattr("forgellm.training.adapters.load_model", load_model)
    empty = shared()
    with pytest.raises(ForgeError, match=reason):
        load(empty, tiny_model)
    assert empty.status().error["code"] == code


def test_an_unloaded_model_is_gone(engine):
    engine.unload()
    assert engine.status().target is None
    with pytest.raises(ModelNotLoaded):
        ask(engine, QUESTION)


def test_a_model_that_nobody_asks_is_unloaded(start, tiny_model):
    idle = start(idle_seconds=0.1)
    load(idle, tiny_model)
    poll(lambda: idle.status().target is None)


def test_a_model_is_not_let_go_of_while_a_request_is_on_its_way_to_it():
    board = Board(at_once=1, waiting=0)
    board.enter()
    assert not board.let_go_if_unused()
    board.leave()
    assert board.let_go_if_unused()


def test_a_prompt_that_fills_the_context_is_refused(engine):
    with pytest.raises(InvalidField, match="the model's context is 512"):
        ask(engine, "word " * 600)
    with pytest.raises(InvalidField, match="the prompt is empty"):
        ask(engine, prompt="")
    assert engine.status().active_requests == 0


def test_an_answer_ends_where_the_context_does(engine):
    _, finish = ask(engine, "rope " * 200, sampling=LONG)
    assert finish.prompt_tokens + finish.completion_tokens <= 512


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"hidden_size": 0}),
        ("config.json", {"eos_token_id": "x"}),
        ("config.json", {"vocab_size": 10**12}),
        ("tokenizer_config.json", {"model_max_length": "x"}),
        ("tokenizer_config.json", {"chat_template": [{"name": "a", "template": "x"}]}),
    ],
)
def test_whatever_a_model_does_to_a_library_the_model_is_to_blame(start, tiny_model, tmp_path, file, values):
    path = shutil.copytree(tiny_model, tmp_path / "odd") / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    engine = start()
    engine.load(source(path.parent))
    with pytest.raises(ModelNotLoaded) as caught:
        engine.wait_until_loaded()
    assert (caught.value.status, caught.value.details["cause"]["code"]) == (422, "INVALID_MODEL")
    assert caught.value.suggestion


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", TemplateTimeout),
        ("{{ raise_exception('only with a system prompt') }}", InvalidModel),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", InvalidModel),
    ],
)
def test_a_hostile_template_is_refused_and_the_engine_lives(engine, tiny_model, tmp_path, template, error):
    hostile = shutil.copytree(tiny_model, tmp_path / "hostile")
    config = json.loads((hostile / "tokenizer_config.json").read_text())
    (hostile / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    engine.load(source(hostile))
    with pytest.raises(ModelNotLoaded) as caught:
        engine.wait_until_loaded()
    assert caught.value.details["cause"]["code"] == error.code
    assert caught.value.status == error.status
    load(engine, tiny_model)
    assert ask(engine, QUESTION)[0]


def test_a_tokenizer_without_a_template_makes_a_base_model(shared, tiny_model, tmp_path):
    plain = shutil.copytree(tiny_model, tmp_path / "plain")
    config = json.loads((plain / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (plain / "tokenizer_config.json").write_text(json.dumps(config))
    fresh = shared()
    load(fresh, plain)
    assert fresh.status().model_type == "base"
    assert ask(fresh, QUESTION)[0]


def test_an_answer_that_is_wanted_whole_comes_in_one_piece(engine):
    turns = (Message("user", QUESTION),)
    pieces = list(engine.generate(GenerationRequest(turns, sampling=GREEDY, logprobs=2)))
    (whole,) = engine.generate(GenerationRequest(turns, sampling=GREEDY, logprobs=2, whole=True))
    assert whole.text == "".join(piece.text for piece in pieces)
    assert [token.text for token in whole.tokens] == [
        token.text for piece in pieces for token in piece.tokens
    ]
    assert whole.finish.completion_tokens == 12
