"""What every test may stand on: a tiny model with a real tokenizer, a workspace, a worker's environment.

Everything is made on the spot from fixed seeds, in a few seconds and without a network; nothing here imports
mlx at the top, so that tests of the light layers stay light.
"""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from forgellm.settings import worker_environment as environment_of_workers
from forgellm.storage.workspace import Workspace

CHECKOUT = Path(__file__).resolve().parents[1]

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCAB_SIZE = 512
HIDDEN, LAYERS, HEADS, KV_HEADS, INTERMEDIATE = 64, 2, 4, 2, 128

PLACES = ["Alder Quay", "Brinmoor", "Castle Dunn", "Dellwater", "Elmstead", "Fernhope"]
TRADES = ["rope", "lamps", "salt", "clocks", "honey", "paper", "glass"]
DAYS = ["Monday", "Tuesday", "Thursday", "Friday", "Saturday"]


LONGEST = ("tests/journeys/test_demo.py", "tests/web/test_schemathesis.py")
"""Minutes each: begun last, they would keep one of two workers waiting."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-endpoints", action="store_true", help="write docs/endpoints.md anew")


def pytest_configure() -> None:
    # How quickly a busy machine makes examples says nothing of what is tested with them.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    settle()


def settle() -> None:
    """Take all there is in this process, modules and collected tests, out of the garbage collector's sight.

    Whoever collects garbage here (the engine does at every load) would look through all of it each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float32 llama of 110,000 random weights in the Hugging Face layout, ChatML-shaped, context 512."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    _write_config(folder)
    _write_tokenizer(folder)
    save_file(_weights(np.random.default_rng(7)), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def end_with_the_text_alone(model: Path) -> None:
    """Let a copy of the tiny model name `<|endoftext|>` as its only end, as base models do whose chat
    template ends every answer with `<|im_end|>`."""
    for file, end in (
        ("config.json", {"eos_token_id": 0}),
        ("tokenizer_config.json", {"eos_token": "<|endoftext|>"}),
    ):
        settings = json.loads((model / file).read_text(encoding="utf-8"))
        (model / file).write_text(json.dumps(settings | end), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_model_quantized(tiny_model: Path) -> Path:
    """The same model at 4 bits in groups of 32, written by mlx-lm itself."""
    # mlx costs a second; only the tests that ask for this model pay for it.
    from mlx_lm.convert import convert

    folder = tiny_model.parent / "tiny-4bit"
    convert(str(tiny_model), str(folder), quantize=True, q_bits=4, q_group_size=32)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path) -> Workspace:
    """`models/base/tiny`; datasets `domain` (12 .md), `questions` (40 rows) and `general` (6 .md)."""
    return make_workspace(tmp_path / "workspace", tiny_model)


def make_workspace(root: Path, tiny_model: Path) -> Workspace:
    """What the fixture `workspace` is, for one that tests share."""
    shutil.copytree(tiny_model, root / "models" / "base" / "tiny")
    _write_documents(root / "dataset" / "domain", _domain_documents())
    _write_documents(root / "dataset" / "general", _general_documents())
    questions = root / "dataset" / "questions"
    questions.mkdir()
    rows = "".join(json.dumps(row) + "\n" for row in question_rows())
    (questions / "train.jsonl").write_text(rows, encoding="utf-8")
    return Workspace.open(root)


@pytest.fixture(scope="session")
def built_page() -> Path:
    """`static/dist`, built of the sources as they are."""
    subprocess.run([sys.executable, CHECKOUT / "scripts" / "page.py"], check=True, stdout=subprocess.DEVNULL)
    return CHECKOUT / "static" / "dist"


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty Hugging Face cache."""
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="session")
def worker_environment(hub_cache: Path) -> dict[str, str]:
    """For subprocesses: this checkout importable, OpenBLAS preloaded, no network, an empty cache."""
    environment = environment_of_workers()
    environment.pop("FORGELLM_WORKSPACE", None)
    return {
        **environment,
        "PYTHONPATH": str(CHECKOUT),
        "HF_HUB_CACHE": str(hub_cache),
        "HF_HUB_OFFLINE": "1",
    }


def question_rows() -> Iterator[dict[str, object]]:
    """40 rows of prompt and completion, all different, of 20 to 60 tokens each."""
    for place, trade, day in _facts():
        yield {
            "prompt": f"When is the {trade} market of {place} held?",
            "completion": f"The {trade} market of {place} is held every {day}.",
        }


def _facts() -> list[tuple[str, str, str]]:
    pairs = [(place, trade) for place in PLACES for trade in TRADES][:40]
    return [(place, trade, DAYS[n % len(DAYS)]) for n, (place, trade) in enumerate(pairs)]


def _domain_documents() -> dict[str, str]:
    facts = _facts()
    documents = {}
    for place in PLACES:
        sentences = [
            f"In {p} the makers of {trade} sell their {trade} every {day}, from morning until the bell rings."
            for p, trade, day in facts
            if p == place
        ]
        documents[f"{place} markets"] = f"# The markets of {place}\n\n" + "\n\n".join(sentences)
        documents[f"{place} notes"] = f"# Notes on {place}\n\n" + "\n".join(
            f"- {day}: {trade} is sold in {p}." for p, trade, day in facts if p == place
        )
    return documents


def _general_documents() -> dict[str, str]:
    subjects = ["river", "mountain", "forest", "harbour", "orchard", "library"]
    return {
        subject: "\n\n".join(
            f"A {subject} is quiet in {month}, and people who visit the {subject} bring bread and tea."
            for month in ("January", "April", "July", "October")
        )
        for subject in subjects
    }


def _write_documents(folder: Path, documents: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in documents.items():
        (folder / f"{name.replace(' ', '_').lower()}.md").write_text(text + "\n", encoding="utf-8")


def _write_config(folder: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def _write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    documents = [*_domain_documents().values(), *_general_documents().values()]
    questions = [" ".join(map(str, row.values())) for row in question_rows()]
    tokenizer.train_from_iterator(documents + questions, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHATML,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _weights(draw: np.random.Generator) -> dict[str, np.ndarray]:
    def matrix(rows: int, columns: int) -> np.ndarray:
        return draw.normal(0.0, 0.08, (rows, columns)).astype(np.float32)

    kv = HIDDEN // HEADS * KV_HEADS
    ones = np.ones(HIDDEN, np.float32)
    weights = {"model.embed_tokens.weight": matrix(VOCAB_SIZE, HIDDEN), "model.norm.weight": ones}
    for n in range(LAYERS):
        block = f"model.layers.{n}"
        for name, rows in (("q", HIDDEN), ("k", kv), ("v", kv), ("o", HIDDEN)):
            weights[f"{block}.self_attn.{name}_proj.weight"] = matrix(rows, HIDDEN)
        weights[f"{block}.mlp.gate_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        weights[f"{block}.mlp.up_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        weights[f"{block}.mlp.down_proj.weight"] = matrix(HIDDEN, INTERMEDIATE)
        weights[f"{block}.input_layernorm.weight"] = ones
        weights[f"{block}.post_attention_layernorm.weight"] = ones
    return weights
