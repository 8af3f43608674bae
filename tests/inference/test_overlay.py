import mlx.core as mx
import pytest

from forgellm.domain.errors import ModelNotLoaded
from forgellm.inference.overlay import lay
from forgellm.training.adapters import load_adapter, load_base
from tests.inference.conftest import FORMS, ask, load, make_adapter, weights_of

QUESTION = "When is the rope market of Alder Quay held?"
TOKENS = mx.array([[5, 6, 7, 8]])


@pytest.mark.parametrize("form", FORMS)
def test_an_adapter_is_put_on_and_taken_off_exactly(tiny_model, adapters, form):
    folder = adapters[form]
    model, _ = load_base(tiny_model)
    before, plain = weights_of(model), model(TOKENS)
    overlay = lay(model, folder / "adapters.safetensors", FORMS[form])
    fresh, _ = load_base(tiny_model)
    load_adapter(fresh, folder / "adapters.safetensors", FORMS[form])
    adapted = fresh(TOKENS)
    assert not mx.array_equal(adapted, plain)
    for _ in range(2):
        assert mx.array_equal(model(TOKENS), adapted)
        overlay.take_off(model)
        assert mx.array_equal(model(TOKENS), plain)
        after = weights_of(model)
        assert after.keys() == before.keys()
        assert all(after[name] is before[name] for name in before)
        overlay.put_on(model)


def test_an_adapter_that_does_not_fit_leaves_the_base_whole(tiny_model, adapters):
    model, _ = load_base(tiny_model)
    plain = model(TOKENS)
    with pytest.raises(Exception, match="does not fit"):
        lay(model, adapters["lora"] / "adapters.safetensors", FORMS["dora"])
    assert mx.array_equal(model(TOKENS), plain)
    assert weights_of(model).keys() == weights_of(load_base(tiny_model)[0]).keys()


@pytest.mark.parametrize("form", FORMS)
def test_base_and_adapter_answer_side_by_side_from_one_base(engine, tiny_model, adapters, form):
    base = ask(engine, QUESTION)[0]
    load(engine, tiny_model, adapters[form])
    adapted = ask(engine, QUESTION)[0]
    assert adapted != base
    for _ in range(2):
        assert ask(engine, QUESTION, plain_base=True)[0] == base
        assert ask(engine, QUESTION)[0] == adapted
    load(engine, tiny_model)
    assert ask(engine, QUESTION)[0] == base


def test_a_quantized_base_takes_adapters_too(engine, tiny_model_quantized, tmp_path):
    folder = make_adapter(tiny_model_quantized, tmp_path, FORMS["lora"])
    load(engine, tiny_model_quantized, folder)
    assert ask(engine, QUESTION)[0] != ask(engine, QUESTION, plain_base=True)[0]


def test_one_adapter_follows_another_on_the_same_base(shared, tiny_model, adapters):
    alone = {}
    for form in FORMS:
        empty = shared()
        load(empty, tiny_model, adapters[form])
        alone[form] = ask(empty, QUESTION)[0]
    engine = shared()
    for form in [*FORMS, *reversed(FORMS)]:
        load(engine, tiny_model, adapters[form])
        assert ask(engine, QUESTION)[0] == alone[form]


def test_a_broken_adapter_leaves_the_engine_empty(engine, tiny_model, adapters, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("adapters.safetensors", "adapter_config.json"):
        data = (adapters["lora"] / name).read_bytes()
        (broken / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelNotLoaded, match="cannot be read"):
        load(engine, tiny_model, broken)
    assert engine.status().loaded is False
