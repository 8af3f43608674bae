"""What PEFT would make another model of is not written as if it were the same."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import pytest

from forgellm.domain.errors import UnsupportedExport
from forgellm.exporting.peft import write_peft
from forgellm.storage.adapters import AdapterConfig

CONFIG = AdapterConfig("lora", -1, 2, 2.0, 0.0)
EMBEDDING = "model.embed_tokens"


def test_a_learned_embedding_that_is_the_output_layer_too_is_written_as_both(tmp_path: Path) -> None:
    weights = {f"{EMBEDDING}.weight": mx.ones((6, 4))}
    for tied, saved in ((True, ["embed_tokens", "lm_head"]), (False, ["embed_tokens"])):
        write_peft(tmp_path, weights, CONFIG, tied=tied)
        assert json.loads((tmp_path / "adapter_config.json").read_text())["modules_to_save"] == saved
        written = mx.load(str(tmp_path / "adapter_model.safetensors"))
        assert len(written) == len(saved)


def test_factors_of_an_embedding_that_is_the_output_layer_too_are_refused(tmp_path: Path) -> None:
    weights = {f"{EMBEDDING}.lora_a": mx.ones((6, 2)), f"{EMBEDDING}.lora_b": mx.ones((2, 4))}
    write_peft(tmp_path, weights, CONFIG, tied=False)
    with pytest.raises(UnsupportedExport, match="has no place for"):
        write_peft(tmp_path, weights, CONFIG, tied=True)
