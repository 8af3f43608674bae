"""What must not grow, however often a model is asked, swapped and loaded in vain."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from forgellm.domain.chat import GenerationRequest, Message, Sampling
from forgellm.domain.errors import ModelNotLoaded
from tests.inference.conftest import ask, load, poll, source

MEGABYTE = 1 << 20


def threads():
    return psutil.Process().num_threads()


def memory():
    return psutil.Process().memory_info().rss


def test_hundreds_of_requests_leave_no_thread_and_no_memory_behind(engine):
    questions = [f"When is market number {n % 40} held?" for n in range(300)]
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda question: ask(engine, question), questions[:100]))
        before = threads(), memory()
        list(clients.map(lambda question: ask(engine, question), questions))
        assert threads() <= before[0]
        assert memory() - before[1] < 32 * MEGABYTE


def test_a_hundred_changes_of_adapter_and_model_leave_no_memory_behind(
    engine, tiny_model, adapters, tmp_path
):
    twin = shutil.copytree(tiny_model, tmp_path / "twin")
    order = [(tiny_model, adapters["lora"]), (tiny_model, adapters["dora"]), (tiny_model, None), (twin, None)]

    def change(count):
        for n in range(count):
            load(engine, *order[n % len(order)])
            ask(engine, "When is the market held?", sampling=Sampling(2, 0.0))

    change(40)
    before = threads(), memory()
    change(100)
    assert threads() <= before[0]
    assert memory() - before[1] < 32 * MEGABYTE


def test_loads_that_fail_give_their_memory_back(engine, tiny_model, tmp_path):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    data = (tiny_model / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(data[: len(data) // 2])

    def fail(count):
        for _ in range(count):
            engine.load(source(broken))
            with pytest.raises(ModelNotLoaded):
                engine.wait_until_loaded()

    fail(5)
    before = memory()
    fail(30)
    assert memory() - before < 16 * MEGABYTE


def test_of_fifty_clients_that_leave_none_is_computed_for(engine):
    request = GenerationRequest((Message("user", "Tell it all."),), sampling=Sampling(400, 0.0))
    for n in range(50):
        stream = engine.generate(request)
        if n % 2:
            next(iter(stream))
        stream.cancel()
        # No more may wait than the engine takes.
        poll(lambda: engine.status().waiting_requests < 30)
    assert ask(engine, "When is the market held?")[1].first_token_seconds < 1
