"""Tokenizers with the chat templates of other models, and a shorthand for writing datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from forgellm.data.tokens import load_tokenizer
from tests.data.templates import SHAPES, Shape


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(tiny_model)


@pytest.fixture(scope="session")
def metaspace_tokenizer() -> Any:
    """Pieces with ▁ for a space and bytes for what is unknown, as SentencePiece makes them."""
    inner = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    inner.train_from_iterator(
        ["the market of the town is held every day", "user assistant [INST] [/INST]"], trainer
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def shaped(tiny_model: Path) -> dict[str, Any]:
    """The tiny tokenizer once for each shape of chat template."""
    return {name: with_shape(load_tokenizer(tiny_model), shape) for name, shape in SHAPES.items()}


def with_shape(tokenizer: Any, shape: Shape) -> Any:
    """Give a tokenizer a chat template and the special tokens it writes."""
    tokenizer.add_special_tokens({"additional_special_tokens": list(shape.special)})
    tokenizer.chat_template = shape.template
    return tokenizer
