"""What is written as GGUF loads in llama.cpp and says there what the model says here."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.convert import convert
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from forgellm.domain.errors import InvalidModel, UnsupportedExport
from forgellm.domain.exports import GGUF_TYPES
from forgellm.exporting.architectures import architecture
from forgellm.exporting.gguf_file import GgufFile
from forgellm.exporting.vocabulary import check_tokenizer, read_vocabulary
from forgellm.exporting.weights import Weights
from forgellm.services.samples import MODEL
from forgellm.settings import packaged
from forgellm.storage.models import ModelFolder
from tests.exporting.models import CONFIGS, LlamaCpp, greedy_here, make_model

PROMPT = "When is the salt market of Brinmoor held?"
TEXT = "When   is\n\nthe  rope-maker's 1234 rope, held? <|im_end|>naïve 東京 🙂 it's I'LL\t x"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of each architecture, in a folder of its name."""
    parent = tmp_path_factory.mktemp("architectures")
    for kind in CONFIGS:
        make_model(parent / kind, kind)
    return parent


def opened(folder: Path, **changes: object) -> ModelFolder:
    config = json.loads((folder / "config.json").read_text())
    return ModelFolder(folder.name, folder, {**config, **changes})


def written(model: ModelFolder, folder: Path, *, numbers: str, name: str = "model") -> Path:
    path = folder / f"{numbers}.gguf"
    file = GgufFile(model, GGUF_TYPES[numbers], name)
    assert list(file.write(path)) == list(range(1, file.tensors + 1))
    assert file.nbytes < path.stat().st_size < file.nbytes + 100_000
    return path


@pytest.mark.parametrize("kind", CONFIGS)
def test_llama_cpp_says_what_the_model_says(models: Path, tmp_path: Path, kind: str) -> None:
    there = LlamaCpp(written(opened(models / kind), tmp_path, numbers="f16"))
    said = there.greedy(PROMPT, 40)
    assert said == greedy_here(models / kind, PROMPT, 40)
    assert len(set(said)) > 10
    tokenizer = Tokenizer.from_file(str(models / kind / "tokenizer.json"))
    asked = {"content": TEXT, "add_special": True, "parse_special": True}
    assert there.post("/tokenize", asked)["tokens"] == tokenizer.encode(TEXT).ids
    small = LlamaCpp(written(opened(models / kind), tmp_path, numbers="q4_0"))
    assert len(small.greedy(PROMPT, 32)) == 32


@pytest.mark.parametrize("numbers", ["bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"])
def test_every_type_of_numbers_loads_and_answers(models: Path, tmp_path: Path, numbers: str) -> None:
    path = written(opened(models / "qwen2"), tmp_path, numbers=numbers)
    assert len(LlamaCpp(path).greedy(PROMPT, 8)) == 8
    types = {tensor.name: tensor.tensor_type.name.lower() for tensor in gguf.GGUFReader(path).tensors}
    assert types["blk.0.attn_q.weight"] == numbers
    assert types["blk.0.attn_q.bias"] == types["output_norm.weight"] == "f32"
    assert types["output.weight"] == ("bf16" if numbers == "bf16" else "q8_0")


def test_weights_of_sixteen_bits_lose_nothing_in_their_own_type(models: Path, tmp_path: Path) -> None:
    source = tmp_path / "bf16"
    convert(str(models / "llama"), str(source), dtype="bfloat16")
    stored = mx.load(str(source / "model.safetensors"))
    assert isinstance(stored, dict)
    there = {t.name: t for t in gguf.GGUFReader(written(opened(source), tmp_path, numbers="bf16")).tensors}
    for name, theirs in (
        ("model.embed_tokens", "token_embd"),
        ("model.layers.1.mlp.up_proj", "blk.1.ffn_up"),
    ):
        tensor = there[f"{theirs}.weight"]
        assert stored[f"{name}.weight"].dtype == mx.bfloat16
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(values, np.array(stored[f"{name}.weight"].astype(mx.float32)))


def test_a_quantized_model_is_unpacked_as_mlx_unpacks_it(models: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    convert(str(models / "qwen2"), str(packed), quantize=True, q_bits=4, q_group_size=32)
    weights = Weights(packed, opened(packed).config)
    stored = mx.load(str(packed / "model.safetensors"))
    name = "model.layers.3.mlp.down_proj"
    whole = mx.dequantize(*(stored[f"{name}.{part}"] for part in ("weight", "scales", "biases")), 32, 4)
    assert weights.shape(f"{name}.weight") == whole.shape
    assert np.array_equal(weights.take(f"{name}.weight"), np.array(whole.astype(mx.float32)))
    there = LlamaCpp(written(opened(packed), tmp_path, numbers="f16"))
    assert there.greedy(PROMPT, 16) == greedy_here(packed, PROMPT, 16)


def test_the_built_in_model_goes_along_with_tokenizer_and_template(tmp_path: Path) -> None:
    built_in = packaged("assets") / MODEL
    path = written(opened(built_in), tmp_path, numbers="f16", name="tamber phi3")
    fields = gguf.GGUFReader(path).fields
    template = json.loads((built_in / "tokenizer_config.json").read_text())["chat_template"]
    assert fields["tokenizer.chat_template"].contents() == template
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    # A name with phi3 in it makes llama.cpp look for tokens of Phi-3's.
    assert fields["general.name"].contents() == "tamber Phi 3"
    messages = [{"role": "user", "content": "Hello?"}]
    there = LlamaCpp(path)
    assert there.post("/apply-template", {"messages": messages})["prompt"] == (
        "<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\n"
    )
    begun = "In the morning the"
    assert there.greedy(begun, 40) == greedy_here(built_in, begun, 40)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("llama", {"model_type": "mixtral"}, "architecture mixtral is not one of llama, mistral"),
        ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2}}, "dynamic scaling"),
        ("gemma3_text", {"query_pre_attn_scalar": 168}, "query_pre_attn_scalar 168"),
        ("gemma3_text", {"sliding_window_pattern": 3}, "sliding_window_pattern is 3"),
        ("qwen3", {"rope_scaling": {"rope_type": "yarn", "factor": 4, "mscale": 1}}, "attention factor"),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused_by_name(
    models: Path, kind: str, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UnsupportedExport, match=words):
        architecture(opened(models / kind, **changes))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}),
        ("normalizer", {"type": "Lowercase"}),
        ("model", {"type": "Unigram", "vocab": {"a": 0}}),
        ("pre_tokenizer", ["ByteLevel"]),
        ("pre_tokenizer", {"type": "Sequence"}),
    ],
)
def test_a_tokenizer_that_cuts_in_an_unknown_way_is_refused(
    tiny_model: Path, tmp_path: Path, part: str, value: object
) -> None:
    tokenizer = json.loads((tiny_model / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**tokenizer, part: value}))
    with pytest.raises(UnsupportedExport, match="cuts text in a way"):
        check_tokenizer(ModelFolder("other", tmp_path, {}))


def test_tokens_beyond_the_embedding_are_left_out_where_they_were_added(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Gemma's smallest model has an added token for images, and no row for it."""
    tokenizer = json.loads((tiny_model / "tokenizer.json").read_text())
    known = len(tokenizer["model"]["vocab"])
    image = {**tokenizer["added_tokens"][0], "id": known + 3, "content": "<image>"}
    tokenizer["added_tokens"].append(image)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    model = ModelFolder("other", tmp_path, {})
    tokens = read_vocabulary(model, known + 3).tokens
    assert tokens[known:] == [f"[PAD{known + n}]" for n in range(3)]
    assert read_vocabulary(model, known + 4).tokens[-1] == "<image>"
    with pytest.raises(UnsupportedExport, match="more tokens than the"):
        read_vocabulary(model, known - 1)


@pytest.mark.parametrize(("value", "words"), [(1e5, "choose bf16|beyond 65,504"), (np.inf, "not finite")])
def test_numbers_that_do_not_fit_are_refused(
    tiny_model: Path, tmp_path: Path, value: float, words: str
) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_model / name).read_bytes())
    weights = load_file(tiny_model / "model.safetensors")
    weights["model.embed_tokens.weight"][3, 3] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InvalidModel, match=words):
        written(opened(folder), tmp_path, numbers="f16")
