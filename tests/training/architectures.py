"""Random models of several architectures, two blocks and a vocabulary of 500, in float32."""

from __future__ import annotations

import importlib
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map
from mlx_lm.tuner.utils import linear_to_lora_layers

VOCABULARY = 500
COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "layer_norm_eps": 1e-5,
    "rope_theta": 1e4,
    "max_position_embeddings": 512,
    "vocab_size": VOCABULARY,
}
OWN: dict[str, dict[str, Any]] = {
    "gemma2": {
        "final_logit_softcapping": 3.0,
        "attn_logit_softcapping": 50.0,
        "query_pre_attn_scalar": 16,
    },
    "cohere": {"logit_scale": 0.0625},
    "granite": {
        "logits_scaling": 6.0,
        "embedding_multiplier": 2.0,
        "attention_multiplier": 0.25,
        "residual_multiplier": 0.5,
        "attention_bias": False,
        "mlp_bias": False,
    },
    "minicpm": {"dim_model_base": 16, "scale_depth": 1.4, "scale_emb": 2},
    "phi": {"partial_rotary_factor": 0.5},
    "gemma3_text": {"sliding_window_pattern": 2},
    "qwen3_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": 32,
        "norm_topk_prob": True,
    },
}


def a_model(kind: str, *, tied: bool = True, **values: Any) -> nn.Module:
    """A frozen model of mlx-lm's architecture `kind`."""
    module = importlib.import_module(f"mlx_lm.models.{kind}")
    wish = COMMON | OWN.get(kind, {}) | {"model_type": kind, "tie_word_embeddings": tied} | values
    mx.random.seed(0)
    model: nn.Module = module.Model(module.ModelArgs.from_dict(wish))
    model.freeze()
    return model


def adapted(model: nn.Module, *keys: str) -> nn.Module:
    """The model with factors that say something, in its blocks or in the modules named."""
    parameters: dict[str, Any] = {"rank": 4, "scale": 2.0, "dropout": 0.0}
    linear_to_lora_layers(model, 2, parameters | ({"keys": set(keys)} if keys else {}))
    changed = tree_map(lambda x: x + 0.05 * mx.random.normal(x.shape), model.trainable_parameters())
    model.update(changed)
    return model


def quantized(model: nn.Module, bits: int, mode: str = "affine") -> nn.Module:
    nn.quantize(model, 32, bits, mode=mode)
    return model
