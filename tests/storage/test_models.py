"""Models by name: found where they are, refused where they are incomplete, broken or run their own code."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.domain.errors import ForgeError, InvalidModel, InvalidPath, ModelNotFound, UntrustedModelCode
from forgellm.storage.models import (
    context_length,
    find_model,
    fingerprint,
    is_quantized,
    list_base_models,
    vocabulary_size,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def base(workspace):
    """The model's folder, free to be spoilt."""
    return workspace.base_models / "tiny"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def put_into_cache(cache: Path, model: Path, name: str = "org/tiny") -> Path:
    """A snapshot as huggingface_hub lays it out: links into blobs."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION)
    (folder / "blobs").mkdir()
    for path in model.iterdir():
        blob = folder / "blobs" / f"{path.name}.blob"
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def shard(folder: Path) -> None:
    """Split model.safetensors into two files with an index, as large models are."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    index = {}
    for n, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{n:05}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file)
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


@pytest.mark.parametrize("name", ["models/base/tiny", "base/tiny", "tiny", "./models/base/../base/tiny/"])
def test_a_model_is_found_by_its_path(workspace, cache, base, name):
    found = find_model(workspace, cache, name)
    assert (found.name, found.path) == (name, base)
    assert found.config["model_type"] == "llama"


def test_a_model_is_found_by_its_absolute_path_inside_the_workspace(workspace, cache, base):
    assert find_model(workspace, cache, str(base)).path == base


def test_a_published_model_is_found(workspace, cache, base):
    shutil.copytree(base, workspace.published / "mine")
    for name in ("published/mine", "mine"):
        assert find_model(workspace, cache, name).path == workspace.published / "mine"


def test_a_model_in_the_cache_is_found_by_its_hub_id(workspace, cache, tiny_model):
    snapshot = put_into_cache(cache, tiny_model)
    assert find_model(workspace, cache, "org/tiny").path == snapshot


def test_a_model_in_several_files_is_found(workspace, cache, base):
    shard(base)
    assert find_model(workspace, cache, "base/tiny").path == base


def test_a_quantized_model_is_found(workspace, cache, tiny_model_quantized):
    shutil.copytree(tiny_model_quantized, workspace.base_models / "small")
    config = find_model(workspace, cache, "base/small").config
    assert is_quantized(config)
    assert not is_quantized(find_model(workspace, cache, "base/tiny").config)


def test_a_misspelt_model_is_not_found_and_the_nearest_is_named(workspace, cache):
    with pytest.raises(ModelNotFound) as caught:
        find_model(workspace, cache, "models/base/tinny")
    assert caught.value.details["nearest"] == "models/base/tiny"
    assert caught.value.details["searched_paths"] == [str(workspace.models), str(cache)]
    assert "`forgellm models` lists those that are here" in caught.value.suggestion


def test_a_hub_id_that_is_not_in_the_cache_comes_with_the_way_to_get_it(workspace, cache):
    with pytest.raises(ModelNotFound) as caught:
        find_model(workspace, cache, "mlx-community/Qwen3-4B-bf16")
    assert "forgellm models pull mlx-community/Qwen3-4B-bf16" in caught.value.suggestion


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc",
        "/etc",
        "/etc/passwd",
        "models/../../etc",
        "a\0b",
        "a\\b",
        "x" * 5000,
        "..",
        "\ud800",
        "org/../..",
        "-",
        "--help",
        "-rf",
        "org/--help",
        "org--name",
        "models",
        "models/",
        ".",
        "a/b/c",
        "file:///etc",
        "https://example.org/model",
        "org/na me",
        "org/name\n",
        "",
    ],
)
def test_a_name_that_is_no_model_is_refused_as_the_askers_mistake(workspace, cache, name):
    with pytest.raises((InvalidPath, ModelNotFound)) as caught:
        find_model(workspace, cache, name)
    assert 400 <= caught.value.status < 500
    assert caught.value.message.isprintable()


def test_a_link_out_of_the_workspace_is_no_model(workspace, cache, tiny_model):
    (workspace.base_models / "link").symlink_to(tiny_model)
    with pytest.raises(ForgeError) as caught:
        find_model(workspace, cache, "models/base/link")
    assert caught.value.status in (403, 404)


def test_a_cache_entry_that_points_elsewhere_is_no_model(workspace, cache, tiny_model):
    put_into_cache(cache, tiny_model)
    (cache / "models--org--tiny" / "refs" / "main").write_text("../../../../workspace/models/base/tiny")
    with pytest.raises(ModelNotFound):
        find_model(workspace, cache, "org/tiny")


def _remove(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def _cut(name, at=-7):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:at])


def _write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def _two_files(spoil):
    def change(folder):
        shard(folder)
        spoil(folder)

    return change


FAULTS = {
    "no config": (_remove("config.json"), "no config.json"),
    "half a config": (_cut("config.json"), "config.json is not a JSON object"),
    "a config that is a list": (_write("config.json", b"[]"), "config.json is not a JSON object"),
    "a config without a type": (_write("config.json", b"{}"), "names no model_type"),
    "a config of more layers than weights": (
        lambda folder: (folder / "config.json").write_text(
            json.dumps({**json.loads((folder / "config.json").read_text()), "num_hidden_layers": 10_000_000})
        ),
        "10000000 layers, and the weights are",
    ),
    "no tokenizer": (_remove("tokenizer.json"), "no tokenizer.json"),
    "half a tokenizer": (_cut("tokenizer.json"), "tokenizer.json is not a tokenizer"),
    "a tokenizer of nothing": (_write("tokenizer.json", b"{}"), "tokenizer.json is not a tokenizer"),
    "no weights": (_remove("model.safetensors"), "no model.safetensors"),
    "weights cut off": (_cut("model.safetensors"), "bytes where its header says"),
    "weights cut off in the header": (_cut("model.safetensors", 100), "is cut off"),
    "weights of five bytes": (_cut("model.safetensors", 5), "is cut off"),
    "no byte of weights": (_cut("model.safetensors", 0), "is cut off"),
    "zeros for weights": (_write("model.safetensors", bytes(5000)), "not a safetensors file"),
    "a pointer for weights": (
        _write("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
        "cut off",
    ),
    "a header that is no JSON": (
        _write("model.safetensors", struct.pack("<Q", 4) + b"oops"),
        "not a safetensors",
    ),
    "a missing part": (
        _two_files(_remove("model-00002-of-00002.safetensors")),
        "00002-of-00002.safetensors is missing",
    ),
    "a part and the index that did not come yet": (
        _two_files(_remove("model-00001-of-00002.safetensors", "model.safetensors.index.json")),
        "00001-of-00002.safetensors is missing",
    ),
    "a part cut off": (_two_files(_cut("model-00001-of-00002.safetensors")), "bytes where its header says"),
    "half an index": (_two_files(_cut("model.safetensors.index.json")), "not an index"),
    "an index that leads elsewhere": (
        _write("model.safetensors.index.json", b'{"weight_map": {"a": "../../x.safetensors"}}'),
        "not an index",
    ),
    "an index of other tensors": (
        _write("model.safetensors.index.json", b'{"weight_map": {"other": "model.safetensors"}}'),
        "lacks the tensor other",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_model_is_refused_with_its_fault(workspace, cache, base, fault):
    spoil, reason = FAULTS[fault]
    spoil(base)
    with pytest.raises(InvalidModel, match=reason) as caught:
        find_model(workspace, cache, "models/base/tiny")
    assert caught.value.suggestion
    assert list_base_models(workspace, cache) == []


def make_unreadable(path):
    """As another user's file is. Permissions do not bind root, who gets one that fails when it is read."""
    if os.geteuid() == 0:
        path.unlink()
        path.symlink_to("/proc/self/mem")
    else:
        path.chmod(0)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_cannot_be_read_costs_no_other_model(workspace, cache, base, tiny_model, file):
    put_into_cache(cache, tiny_model)
    make_unreadable(base / file)
    with pytest.raises(InvalidModel, match="cannot be read") as caught:
        find_model(workspace, cache, "models/base/tiny")
    assert "readable" in caught.value.suggestion
    assert [m.name for m in list_base_models(workspace, cache)] == ["org/tiny"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_download_that_is_not_whole_is_never_shown_as_there(workspace, cache, tiny_model, fault):
    snapshot = put_into_cache(cache, tiny_model)
    FAULTS[fault][0](snapshot)
    with pytest.raises(ModelNotFound, match="only partly downloaded"):
        find_model(workspace, cache, "org/tiny")
    assert [m.name for m in list_base_models(workspace, cache)] == ["models/base/tiny"]


def test_a_download_whose_blob_is_gone_is_not_there(workspace, cache, tiny_model):
    put_into_cache(cache, tiny_model)
    (cache / "models--org--tiny" / "blobs" / "model.safetensors.blob").unlink()
    with pytest.raises(ModelNotFound, match="only partly downloaded"):
        find_model(workspace, cache, "org/tiny")


@pytest.mark.parametrize("key", ["model_file", "auto_map"])
def test_a_model_with_code_of_its_own_is_refused(workspace, cache, base, key):
    change_config(base, **{key: "modeling.py"})
    with pytest.raises(UntrustedModelCode, match=key):
        find_model(workspace, cache, "models/base/tiny")


def test_weights_in_another_format_come_with_a_way_to_convert_them(workspace, cache, base):
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    (base / "._tiny.gguf").write_bytes(b"what macOS keeps beside a file")
    with pytest.raises(InvalidModel) as caught:
        find_model(workspace, cache, "models/base/tiny")
    assert "pytorch_model.bin" in caught.value.suggestion


def test_base_models_are_those_of_the_workspace_and_of_the_cache(workspace, cache, tiny_model):
    put_into_cache(cache, tiny_model)
    put_into_cache(cache, tiny_model, "gpt2")
    (workspace.base_models / ".partial").mkdir()
    names = [m.name for m in list_base_models(workspace, cache)]
    assert names == ["gpt2", "models/base/tiny", "org/tiny"]


def test_a_fingerprint_stays_the_same_for_a_copy_and_changes_with_config_or_weights(base, tmp_path):
    before = fingerprint(base)
    shutil.copytree(base, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy") == before
    change_config(base, rope_theta=1.0)
    with_config = fingerprint(base)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] += np.float32(1)
    save_file(weights, base / "model.safetensors")
    assert len({before, with_config, fingerprint(base)}) == 3


def test_context_and_vocabulary_are_read_from_the_configuration():
    assert context_length({"max_position_embeddings": 4096}) == 4096
    assert context_length({"text_config": {"max_position_embeddings": 8192}}) == 8192
    assert context_length({"n_positions": 1024}) == 1024
    assert context_length({"max_position_embeddings": None}) is None
    assert vocabulary_size({"vocab_size": 512}) == 512
    assert vocabulary_size({"text_config": {"vocab_size": 7}}) == 7
    with pytest.raises(InvalidModel, match="vocabulary"):
        vocabulary_size({})


def test_a_vocabulary_that_the_configuration_does_not_say_is_that_of_the_embedding(workspace, cache, base):
    config = json.loads((base / "config.json").read_text())
    size = config.pop("vocab_size")
    (base / "config.json").write_text(json.dumps(config))
    assert vocabulary_size(find_model(workspace, cache, "tiny").config) == size
