import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.cli.info import _counted
from forgellm.storage.adapters import AdapterConfig, write_config
from tests.architecture.test_layers import packages_loaded_by

TINY = ("cli", "info", "--model", "models/base/tiny")

BLOCK = """\
Model Information:
  Name: models/base/tiny
  Type: Instruct Model
  Architecture: Llama
  Parameters: ~107K
  Quantization: fp32
  Context Length: 512 tokens
"""
ADAPTER = """
Adapter Information:
  Path: models/cpt/mine
  Type: LoRA Adapter
  Rank: 16
  Alpha: 32
  Target Modules: q_proj, v_proj, o_proj
"""


def write_adapter(folder, form="lora", **options):
    """Three factors in each of two blocks, as a training run leaves them."""
    folder.mkdir(parents=True)
    keys = tuple(f"self_attn.{name}_proj" for name in "qvo")
    write_config(folder, AdapterConfig(form, 2, 16, 2.0, 0.0, keys=keys, **options))
    weights = {
        f"model.layers.{block}.{key}.lora_{factor}": np.zeros((16, 64), np.float32)
        for block in range(2)
        for key in keys
        for factor in "ab"
    }
    save_file(weights, folder / "adapters.safetensors")
    return folder


def weight_count(folder):
    return sum(array.size for array in load_file(folder / "model.safetensors").values())


def test_a_model_is_described_in_the_documented_form(forgellm):
    done = forgellm(*TINY)
    assert (done.stdout, done.stderr, done.returncode) == (BLOCK, "", 0)


def test_an_adapter_is_described_below_it(forgellm, workspace):
    write_adapter(workspace.models / "cpt" / "mine")
    done = forgellm(*TINY, "--adapter-path", "models/cpt/mine")
    assert (done.stdout, done.returncode) == (BLOCK + ADAPTER, 0)


def test_the_figures_are_there_as_json(forgellm, workspace, tiny_model):
    write_adapter(workspace.models / "cpt" / "mine", train_also=("norms",))
    done = forgellm(*TINY, "--adapter-path", "models/cpt/mine", "--json")
    values = json.loads(done.stdout)
    size = (tiny_model / "model.safetensors").stat().st_size
    assert values["model"]["parameters"] == weight_count(tiny_model)
    assert values["model"]["weight_bytes"] == size
    assert (values["adapter"]["rank"], values["adapter"]["alpha"]) == (16, 32)
    assert values["adapter"]["parameters"] == 2 * 3 * 2 * 16 * 64
    assert values["adapter"]["also"] == ["norms"]


def test_a_quantized_model_has_as_many_parameters_as_before(
    forgellm, workspace, tiny_model, tiny_model_quantized
):
    shutil.copytree(tiny_model_quantized, workspace.base_models / "tiny-4bit")
    done = forgellm("cli", "info", "--model", "models/base/tiny-4bit", "--json")
    values = json.loads(done.stdout)["model"]
    assert (values["parameters"], values["quantization"]) == (weight_count(tiny_model), "4-bit")


def test_a_model_without_a_chat_template_is_a_base_model(forgellm, workspace):
    path = workspace.base_models / "tiny" / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["chat_template"]
    path.write_text(json.dumps(settings))
    assert "  Type: Base Model\n" in forgellm(*TINY).stdout


def test_weights_packed_by_other_tools_are_not_counted_wrongly(forgellm, workspace):
    folder = workspace.base_models / "tiny"
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    packed = {f"model.layers.{n}.mlp.qweight": np.zeros((8, 64), np.int32) for n in range(2)}
    save_file(packed, folder / "model.safetensors")
    done = forgellm(*TINY)
    assert "  Parameters: unknown (model.layers.0.mlp.qweight is packed" in done.stdout
    assert "  Quantization: 4-bit (gptq)\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "models/base/absent"), "absent"),
        (("--model", "../../etc"), "etc"),
        (("--model", "models/base/tiny", "--adapter-path", "models/cpt/absent"), "models/cpt/absent"),
    ],
)
def test_what_is_not_there_is_named(forgellm, arguments, said):
    done = forgellm("cli", "info", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (4_022_468_096, "~4B"),
        (1_720_574_976, "~1.7B"),
        (32_762_123_264, "~33B"),
        (596_049_920, "~596M"),
        (999_999_999, "~1B"),
        (106_816, "~107K"),
        (12, "12"),
    ],
)
def test_a_model_is_called_by_its_usual_size(count, shown):
    assert _counted(count) == shown


def test_nothing_of_the_engine_is_imported():
    loaded = packages_loaded_by("-c", "import forgellm.cli.info, forgellm.services.model_info")
    assert loaded & {"mlx", "mlx_lm", "transformers"} == set()
