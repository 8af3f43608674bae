import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from forgellm.domain.chat import Target
from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.errors import (
    InvalidAdapter,
    InvalidPath,
    ModelNotFound,
    PathNotFound,
    UntrustedModelCode,
)
from forgellm.domain.runs import RunKind
from forgellm.storage.checkpoints import sha256_of, write_sidecar
from forgellm.storage.files import write_json
from forgellm.storage.models import fingerprint
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.targets import find_source
from tests.storage.folders import NOON

TINY = "models/base/tiny"


@pytest.fixture
def adapter(workspace):
    folder = workspace.models / "cpt" / "mine"
    folder.mkdir(parents=True)
    save_file({"a": np.zeros(4, np.float32)}, folder / "adapters.safetensors")
    save_file({"a": np.ones(4, np.float32)}, folder / "0000004_adapters.safetensors")
    write_json(folder / "adapter_config.json", {"num_layers": -1})
    return folder


def test_a_model_is_found_with_what_identifies_it(workspace, hub_cache):
    source = find_source(workspace, hub_cache, Target(TINY))
    assert source.model_path == workspace.base_models / "tiny"
    assert source.config["model_type"] == "llama"
    assert (source.adapter, source.adapter_identity) == (None, None)
    assert find_source(workspace, hub_cache, Target("base/tiny")).identity == source.identity


def test_a_changed_tokenizer_makes_another_model(workspace, hub_cache):
    before = find_source(workspace, hub_cache, Target(TINY)).identity
    path = workspace.base_models / "tiny" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": "{{ 1 }}"}))
    assert find_source(workspace, hub_cache, Target(TINY)).identity != before


def test_an_adapter_is_a_folder_or_one_of_its_checkpoints(workspace, hub_cache, adapter):
    best = find_source(workspace, hub_cache, Target(TINY, "models/cpt/mine"))
    assert best.adapter == (adapter, adapter / "adapters.safetensors")
    fourth = find_source(workspace, hub_cache, Target(TINY, "models/cpt/mine/0000004_adapters.safetensors"))
    assert fourth.adapter == (adapter, adapter / "0000004_adapters.safetensors")
    assert best.identity == fourth.identity
    assert best.adapter_identity != fourth.adapter_identity


def test_an_adapter_that_is_not_there_is_said_not_to_be(workspace, hub_cache, adapter):
    with pytest.raises(PathNotFound, match=r"^the adapter 'models/cpt/yours' is not there$"):
        find_source(workspace, hub_cache, Target(TINY, "models/cpt/yours"))
    with pytest.raises(
        InvalidAdapter, match=r"^the adapter 'models/base' has no adapters\.safetensors and no "
    ):
        find_source(workspace, hub_cache, Target(TINY, "models/base"))


def test_an_adapter_is_laid_over_no_other_model_than_the_one_it_was_trained_on(workspace, hub_cache, adapter):
    tiny, other = workspace.base_models / "tiny", workspace.base_models / "other"
    shutil.copytree(tiny, other)
    config = json.loads((other / "config.json").read_text())
    # Of the same shapes: everything fits, and means nothing.
    (other / "config.json").write_text(json.dumps({**config, "rope_theta": 5000.0}))
    run = create_run(
        workspace,
        RunKind.CPT,
        spec={"model_name": TINY},
        name="trained",
        created=NOON,
        versions={},
        base_fingerprint=fingerprint(tiny),
    )
    shutil.copytree(adapter, run_folder(workspace, run), dirs_exist_ok=True)
    assert find_source(workspace, hub_cache, Target(TINY, run.folder)).adapter is not None
    with pytest.raises(InvalidAdapter, match=f"was trained on {TINY}, not on models/base/other"):
        find_source(workspace, hub_cache, Target("models/base/other", run.folder))


def test_finding_a_source_writes_nothing(workspace, hub_cache, adapter):
    before = {p: os.stat(p).st_mtime_ns for p in workspace.root.rglob("*")}
    find_source(workspace, hub_cache, Target(TINY, "models/cpt/mine"))
    assert {p: os.stat(p).st_mtime_ns for p in workspace.root.rglob("*")} == before


def test_an_adapter_that_was_cut_off_is_refused_before_it_is_loaded(workspace, hub_cache, adapter):
    whole = (adapter / "adapters.safetensors").read_bytes()
    (adapter / "adapters.safetensors").write_bytes(whole[:-4])
    with pytest.raises(InvalidAdapter, match="the adapter in mine is damaged"):
        find_source(workspace, hub_cache, Target(TINY, "models/cpt/mine"))
    (adapter / "adapters.safetensors").write_bytes(whole)
    (adapter / "adapter_config.json").write_text('{"num_layers"')
    with pytest.raises(InvalidAdapter, match=r"adapter_config\.json in mine cannot be read"):
        find_source(workspace, hub_cache, Target(TINY, "models/cpt/mine"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"num_layers": -1, "lora_parameters": {"rank": -1}}',
        '{"num_layers": -1, "lora_parameters": {"dropout": 2}}',
        '{"num_layers": -1, "lora_parameters": {"scale": 1e300}}',
        '{"num_layers": -1, "lora_parameters": {"scale": NaN}}',
        '{"num_layers": -1, "lora_parameters": {"scale": -Infinity}}',
        '{"num_layers": 1e999}',
    ],
)
def test_a_configuration_that_no_adapter_has_is_refused(workspace, hub_cache, adapter, text):
    (adapter / "adapter_config.json").write_text(text)
    with pytest.raises(InvalidAdapter, match=r"adapter_config\.json in mine cannot be read"):
        find_source(workspace, hub_cache, Target(TINY, "models/cpt/mine"))


def test_a_copied_checkpoint_still_matches_its_sidecar(workspace, hub_cache, adapter):
    path = adapter / "0000004_adapters.safetensors"
    size, digest = path.stat().st_size, sha256_of(path)
    write_sidecar(adapter, Checkpoint(4, path.name, digest, size, validation_loss=1.0))
    target = Target(TINY, "models/cpt/mine/0000004_adapters.safetensors")
    assert find_source(workspace, hub_cache, target).adapter == (adapter, path)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InvalidAdapter, match="does not match its hash"):
        find_source(workspace, hub_cache, target)


def test_what_is_not_there_or_not_allowed_is_refused(workspace, hub_cache, adapter):
    with pytest.raises(ModelNotFound):
        find_source(workspace, hub_cache, Target("nothing"))
    with pytest.raises(InvalidPath):
        find_source(workspace, hub_cache, Target(TINY, "../outside"))
    with pytest.raises(InvalidAdapter, match=r"no adapters\.safetensors and no adapter_config\.json"):
        find_source(workspace, hub_cache, Target(TINY, "dataset/domain"))
    config = workspace.base_models / "tiny" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {}}))
    with pytest.raises(UntrustedModelCode):
        find_source(workspace, hub_cache, Target(TINY))
