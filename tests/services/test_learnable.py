"""What learns is counted by the names and shapes in the files, whatever else lies there and however."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from forgellm.domain.spec import parse_spec
from forgellm.services.learnable import learnable, modules_of, narrowest
from forgellm.storage.models import ModelFolder

WISH = {"model_name": "some", "training_type": "cpt", "dataset": "none"}
HIDDEN, INNER, EXPERTS = 16, 8, 4
LANGUAGE = {f"model.layers.{block}.self_attn.q_proj.weight": (HIDDEN, HIDDEN) for block in range(2)}


def a_model(folder, tensors, **config) -> ModelFolder:
    folder.mkdir()
    arrays = {name: np.zeros(shape, np.float16) for name, shape in tensors.items()}
    save_file(arrays, folder / "model.safetensors")
    return ModelFolder("some", folder, {"model_type": "qwen3_moe", "hidden_size": HIDDEN, **config})


@pytest.mark.parametrize(
    "part",
    [
        "vision_tower.vision_model.encoder",
        "model.visual.blocks",
        "audio_tower",
        "multi_modal_projector",
        "mtp",
    ],
)
@pytest.mark.parametrize("change", [{}, {"num_layers": 1}, {"fine_tune_type": "full"}], ids=str)
def test_what_sees_hears_and_drafts_does_not_learn(tmp_path, part, change):
    others = {f"{part}.layers.{block}.self_attn.q_proj.weight": (24, 24) for block in range(6)}
    spec = parse_spec({**WISH, **change})
    alone, beside = a_model(tmp_path / "a", LANGUAGE), a_model(tmp_path / "b", {**LANGUAGE, **others})
    assert learnable(beside, spec) == learnable(alone, spec)


def test_a_convolution_has_no_factors_and_narrows_nothing(tmp_path):
    kernel = {
        "model.layers.1.conv.conv.weight": (HIDDEN, 3, 1),
        "model.layers.1.conv1d.weight": (HIDDEN, 1, 4),
    }
    spec = parse_spec(WISH)
    alone, beside = a_model(tmp_path / "a", LANGUAGE), a_model(tmp_path / "b", {**LANGUAGE, **kernel})
    assert learnable(beside, spec).matrices == learnable(alone, spec).matrices
    assert narrowest(beside) == narrowest(alone)
    full = parse_spec({**WISH, "fine_tune_type": "full"})
    assert learnable(beside, full).parameters == learnable(alone, full).parameters + HIDDEN * 7


STACKED = {
    "model.layers.0.mlp.switch_mlp.gate_proj.weight": (EXPERTS, INNER, HIDDEN),
    "model.layers.0.mlp.switch_mlp.up_proj.weight": (EXPERTS, INNER, HIDDEN),
    "model.layers.0.mlp.switch_mlp.down_proj.weight": (EXPERTS, HIDDEN, INNER),
}
AS_PUBLISHED = {
    "one tensor an expert": {
        f"model.layers.0.mlp.experts.{expert}.{layer}.weight": shape
        for expert in range(EXPERTS)
        for layer, shape in {
            "gate_proj": (INNER, HIDDEN),
            "up_proj": (INNER, HIDDEN),
            "down_proj": (HIDDEN, INNER),
        }.items()
    },
    "Mixtral's names": {
        f"model.layers.0.mlp.experts.{expert}.{layer}.weight": shape
        for expert in range(EXPERTS)
        for layer, shape in {"w1": (INNER, HIDDEN), "w2": (HIDDEN, INNER), "w3": (INNER, HIDDEN)}.items()
    },
    "two tensors of all": {
        "model.layers.0.mlp.experts.gate_up_proj": (EXPERTS, 2 * INNER, HIDDEN),
        "model.layers.0.mlp.experts.down_proj": (EXPERTS, HIDDEN, INNER),
    },
}


@pytest.mark.parametrize("layout", AS_PUBLISHED)
def test_experts_are_those_that_the_engine_stacks_however_they_are_published(tmp_path, layout):
    stacked = a_model(tmp_path / "stacked", STACKED)
    published = a_model(tmp_path / "published", AS_PUBLISHED[layout])
    assert set(modules_of(published)) == set(modules_of(stacked))


def test_experts_that_lie_the_other_way_round_have_as_many_factors(tmp_path):
    turned = {
        "model.layers.0.mlp.experts.gate_up_proj": (EXPERTS, HIDDEN, 2 * INNER),
        "model.layers.0.mlp.experts.down_proj": (EXPERTS, INNER, HIDDEN),
    }
    published = a_model(tmp_path / "published", turned, model_type="gpt_oss")
    spec = parse_spec(WISH)
    assert learnable(published, spec) == learnable(a_model(tmp_path / "stacked", STACKED), spec)
    only = parse_spec({**WISH, "lora_keys": ["mlp.experts.gate_proj"]})
    assert learnable(published, only).matrices == 1
