"""Models of random weights in every architecture that is exported, and llama.cpp to ask them with.

Their output layers are not the embeddings: what such a model says goes on changing, so that 40 equal tokens
in a row are not equal by chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np
import requests
import xllamacpp
from mlx_lm.generate import generate_step
from mlx_lm.utils import load
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.conftest import SPECIAL_TOKENS, question_rows

HIDDEN, LAYERS, HEADS, KV_HEADS, INTERMEDIATE, ROWS = 64, 7, 4, 2, 96, 512
COMMON = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "intermediate_size": INTERMEDIATE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": ROWS,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LONGROPE = {"type": "longrope", "short_factor": [1.5] * 6, "long_factor": [1.5] * 6}
CONFIGS: dict[str, dict[str, object]] = {
    "llama": {"model_type": "llama", "rope_scaling": LLAMA3},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3", "head_dim": 32, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    "mistral": {"model_type": "mistral", "head_dim": 32},
    "gemma3_text": {
        "model_type": "gemma3_text",
        "head_dim": 32,
        "query_pre_attn_scalar": 32,
        "sliding_window": 16,
        "rope_theta": 1e6,
    },
    "phi3": {
        "model_type": "phi3",
        "partial_rotary_factor": 0.75,
        "rope_scaling": LONGROPE,
        "original_max_position_embeddings": 256,
    },
}
ENDS = {"<|im_end|>", "<|endoftext|>", "</s>"}
LLAMA_CPP = {"n_ctx": 256, "n_parallel": 1, "n_gpu_layers": 0, "warmup": False, "fit_params": False}
SENTENCEPIECE = ("mistral", "gemma3_text", "phi3")


def make_model(folder: Path, kind: str) -> Path:
    """A model of that architecture with the tokenizer that is usual for it."""
    folder.mkdir(parents=True)
    config = {**COMMON, **CONFIGS[kind]}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(dict(_weights(config)), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = sentencepiece(kind) if kind in SENTENCEPIECE else byte_level(kind)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _weights(config: dict[str, object]) -> Iterator[tuple[str, np.ndarray]]:
    draw = np.random.default_rng(5)
    kind = config["model_type"]
    head = int(str(config.get("head_dim", HIDDEN // HEADS)))
    q, kv = HEADS * head, KV_HEADS * head

    def matrix(*shape: int) -> np.ndarray:
        return draw.normal(0.0, 0.9 / np.sqrt(shape[-1]), shape).astype(np.float32)

    def norm(size: int) -> np.ndarray:
        centre = 0.0 if kind == "gemma3_text" else 1.0
        return (centre + draw.normal(0.0, 0.1, size)).astype(np.float32)

    yield "model.embed_tokens.weight", draw.normal(0.0, 1.0, (ROWS, HIDDEN)).astype(np.float32)
    yield "lm_head.weight", matrix(ROWS, HIDDEN)
    yield "model.norm.weight", norm(HIDDEN)
    for n in range(LAYERS):
        block = f"model.layers.{n}"
        if kind == "phi3":
            yield f"{block}.self_attn.qkv_proj.weight", matrix(q + 2 * kv, HIDDEN)
            yield f"{block}.mlp.gate_up_proj.weight", matrix(2 * INTERMEDIATE, HIDDEN)
        else:
            for name, rows in (("q", q), ("k", kv), ("v", kv)):
                yield f"{block}.self_attn.{name}_proj.weight", matrix(rows, HIDDEN)
                if kind == "qwen2":
                    yield f"{block}.self_attn.{name}_proj.bias", matrix(rows)
            yield f"{block}.mlp.gate_proj.weight", matrix(INTERMEDIATE, HIDDEN)
            yield f"{block}.mlp.up_proj.weight", matrix(INTERMEDIATE, HIDDEN)
        yield f"{block}.self_attn.o_proj.weight", matrix(HIDDEN, q)
        yield f"{block}.mlp.down_proj.weight", matrix(HIDDEN, INTERMEDIATE)
        norms = ["input_layernorm", "post_attention_layernorm"]
        if kind == "gemma3_text":
            norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        for name in norms:
            yield f"{block}.{name}.weight", norm(HIDDEN)
        if kind in ("qwen3", "gemma3_text"):
            yield f"{block}.self_attn.q_norm.weight", norm(head)
            yield f"{block}.self_attn.k_norm.weight", norm(head)


def byte_level(kind: str) -> Tokenizer:
    """Trained on the questions, cut as Qwen cuts or as GPT-2 did."""
    tokenizer = Tokenizer(models.BPE())
    cut: pre_tokenizers.PreTokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind.startswith("qwen"):
        regex = (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
        split = pre_tokenizers.Split(Regex(regex), behavior="isolated")
        cut = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ROWS - 12,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def sentencepiece(kind: str) -> Tokenizer:
    """Pieces of text with bytes as the last resort, in the form transformers gives to sentencepiece's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    mark = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = (
        mark if kind == "gemma3_text" else normalizers.Sequence([normalizers.Prepend("▁"), mark])
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    specials = ["<unk>", "<s>", "<|im_end|>", "</s>", "<|endoftext|>"]
    specials += [f"<0x{n:02X}>" for n in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=ROWS - 1, special_tokens=specials, show_progress=False)
    lead = " " if kind == "gemma3_text" else ""
    tokenizer.train_from_iterator([lead + word for text in _texts() for word in text.split(" ")], trainer)
    # Bytes are no special tokens in a real one.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    made = Tokenizer.from_str(json.dumps(state))
    made.add_tokens([AddedToken("rope-maker", special=False, normalized=False)])
    return made


def _texts() -> Iterable[str]:
    return [" ".join(map(str, row.values())) for row in question_rows()]


def greedy_here(folder: Path, prompt: str, count: int) -> list[int]:
    """The tokens that mlx-lm goes on with."""
    model, tokenizer = load(str(folder))  # type: ignore[misc]
    ids = mx.array(tokenizer.encode(prompt))
    # What llama.cpp takes for ends and is told to go on after.
    ends = [n for text, n in tokenizer.get_vocab().items() if text in ENDS]
    forbidden = mx.zeros(model.args.vocab_size).at[mx.array(ends)].add(-mx.inf)
    found = generate_step(ids, model, max_tokens=count, logits_processors=[lambda _, row: row + forbidden])
    steps = zip(found, range(count), strict=False)
    return [int(token) for (token, _), _ in steps]


class LlamaCpp:
    """llama.cpp with a model loaded, in this process."""

    def __init__(self, path: Path) -> None:
        wish = xllamacpp.CommonParams()
        wish.model.path = str(path)
        for name, value in LLAMA_CPP.items():
            setattr(wish, name, value)
        self._server = xllamacpp.Server(wish)

    def greedy(self, prompt: str, count: int) -> list[int]:
        """The tokens that it goes on with."""
        wish = {"prompt": prompt, "n_predict": count, "temperature": 0.0, "ignore_eos": True}
        found = self.post("/completion", {**wish, "cache_prompt": False, "return_tokens": True})["tokens"]
        assert isinstance(found, list)
        return found

    def post(self, path: str, values: dict[str, object]) -> dict[str, object]:
        """Its own HTTP routes, on loopback."""
        answer = requests.post(f"{self._server.listening_address}{path}", json=values, timeout=60)
        found: dict[str, object] = answer.json()
        return found
