"""Train the built-in base model from nothing: `python scripts/train_base.py FOLDER`, half an hour.

It makes the general corpus of the sample world, trains a byte-level BPE tokenizer on it, draws random
weights, pre-trains them with ForgeLLM's own engine in a workspace inside FOLDER, publishes the best
checkpoint and puts it into forgellm/assets. No fact of the sample domain is in that corpus.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parents[1]
NAME = "lough-tiny"
ASSETS = ROOT / "forgellm" / "assets" / NAME

HIDDEN, LAYERS, HEADS, INTERMEDIATE, VOCABULARY, CONTEXT = 176, 4, 4, 416, 2048, 1024
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPEC = {
    "training_type": "cpt",
    "dataset": "general",
    "fine_tune_type": "full",
    "train_also": "embeddings,norms",
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "warmup_steps": 100,
    "lr_final_factor": 0.05,
    "batch_size": 8,
    "max_seq_length": 257,
    "max_iterations": 1600,
    "eval_every": 200,
    "save_every": 200,
    "validation_fraction": 0.03,
    "validation_tokens": 20000,
    "seed": 1,
}


def main() -> int:
    """Make the corpus, the tokenizer and the weights; train; keep the published model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="an empty folder to work in; it needs 200 MB")
    folder = parser.parse_args().folder.resolve()
    corpus, untrained = folder / "dataset" / "general", folder / "models" / "base" / "untrained"
    untrained.mkdir(parents=True)
    subprocess.run([sys.executable, ROOT / "scripts" / "make_world.py", "--corpus", corpus], check=True)
    write_tokenizer(untrained, sorted(corpus.glob("*.txt")))
    write_config(untrained)
    save_file(random_weights(np.random.default_rng(7)), untrained / "model.safetensors", {"format": "mlx"})
    forgellm(folder, "train", "--model-name", "models/base/untrained", *options())
    forgellm(folder, "publish", "--name", NAME)
    keep(folder / "models" / "published" / NAME)
    return 0


def write_tokenizer(folder: Path, files: list[Path]) -> None:
    """A byte-level BPE over the corpus, single digits apart, as a Hugging Face fast tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((plain_text(path) for path in files[::4]), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "eos_token": SPECIAL[0],
        "pad_token": SPECIAL[0],
        "additional_special_tokens": SPECIAL[1:],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    write_json(folder / "tokenizer_config.json", settings)


def plain_text(path: Path) -> str:
    """The text of a corpus file without the special tokens that are written out in it."""
    text = path.read_text(encoding="utf-8")
    for token in SPECIAL:
        text = text.replace(token, "\n")
    return text


def write_config(folder: Path) -> None:
    """A llama of 1.7 million parameters, with embeddings shared between input and output."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HIDDEN // HEADS,
        "rms_norm_eps": 1e-5,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": [0, 2],
        "pad_token_id": 0,
    }
    write_json(folder / "config.json", config)


def random_weights(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal with deviation 0.02, smaller where a block writes to the residual stream (as GPT-2's)."""
    residual = 0.02 / (2 * LAYERS) ** 0.5
    shapes: dict[str, tuple[tuple[int, int], float]] = {"model.embed_tokens": ((VOCABULARY, HIDDEN), 0.02)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}"
        shapes |= {f"{block}.self_attn.{x}_proj": ((HIDDEN, HIDDEN), 0.02) for x in "qkv"}
        shapes |= {f"{block}.mlp.{x}_proj": ((INTERMEDIATE, HIDDEN), 0.02) for x in ("gate", "up")}
        shapes[f"{block}.self_attn.o_proj"] = ((HIDDEN, HIDDEN), residual)
        shapes[f"{block}.mlp.down_proj"] = ((HIDDEN, INTERMEDIATE), residual)
    weights = {f"{n}.weight": rng.normal(0, std, shape) for n, (shape, std) in shapes.items()}
    norms = [f"model.layers.{i}.{x}_layernorm" for i in range(LAYERS) for x in ("input", "post_attention")]
    weights |= {f"{name}.weight": np.ones(HIDDEN) for name in [*norms, "model.norm"]}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def options() -> list[str]:
    """The spec as options of `forgellm train`."""
    return [word for k, v in SPEC.items() for word in (f"--{k.replace('_', '-')}", str(v))]


def forgellm(workspace: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "forgellm", "--workspace", workspace, *arguments], cwd=ROOT, check=True
    )


def keep(published: Path) -> None:
    """Put weights, config and tokenizer into the package; the card and picture stay in the workspace."""
    shutil.rmtree(ASSETS, ignore_errors=True)
    ASSETS.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(published / name, ASSETS / name)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
