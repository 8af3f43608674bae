"""What config.json says of a model, as the metadata of a GGUF file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import gguf
import numpy as np

from forgellm.exporting.architectures import Architecture, rope_scaling, rope_type, text_config
from forgellm.exporting.weights import Floats

Shape = Callable[[str], tuple[int, ...]]
_FIRST = "model.layers.0.self_attn"


class Hyperparameters:
    """`shape` answers with the form of a weight: what a configuration leaves out is read from there."""

    def __init__(self, config: Mapping[str, object], architecture: Architecture, shape: Shape) -> None:
        self._config: Mapping[str, Any] = text_config(config)
        self._scaling: Mapping[str, Any] = rope_scaling(self._config)
        self._architecture = architecture
        self._shape = shape

    @property
    def layers(self) -> int:
        return int(self._config["num_hidden_layers"])

    @property
    def heads(self) -> int:
        if self._architecture.name == "gemma3":
            return self._rows("q_proj") // self.head_dim
        return int(self._config["num_attention_heads"])

    @property
    def kv_heads(self) -> int:
        if self._architecture.name == "gemma3":
            return self._rows("k_proj") // self.head_dim
        return int(self._config.get("num_key_value_heads") or self.heads)

    @property
    def head_dim(self) -> int:
        if self._architecture.name == "gemma3":
            return int(self._config.get("head_dim", 256))
        return int(self._config.get("head_dim") or self._config["hidden_size"] // self.heads)

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding."""
        return self._shape("model.embed_tokens.weight")[0]

    @property
    def _rotated(self) -> int:
        return int(self.head_dim * self._config.get("partial_rotary_factor", 1.0))

    @property
    def _theta(self) -> float:
        default = 1e6 if self._architecture.name == "gemma3" else 1e4
        return float(self._config.get("rope_theta") or self._scaling.get("rope_theta") or default)

    @property
    def _context(self) -> int:
        return int(self._config.get("max_position_embeddings") or 32768)

    @property
    def _original_context(self) -> int:
        stated = self._config.get("original_max_position_embeddings")
        return int(stated or self._scaling.get("original_max_position_embeddings") or self._context)

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Add all of it to the file's metadata."""
        writer.add_block_count(self.layers)
        writer.add_context_length(self._context)
        writer.add_embedding_length(self._shape("model.embed_tokens.weight")[1])
        writer.add_feed_forward_length(self._shape("model.layers.0.mlp.down_proj.weight")[1])
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_dim)
        writer.add_value_length(self.head_dim)
        writer.add_vocab_size(self.vocabulary)
        writer.add_layer_norm_rms_eps(float(self._config.get("rms_norm_eps") or 1e-6))
        writer.add_rope_dimension_count(self._rotated)
        writer.add_rope_freq_base(self._theta)
        self._write_scaling(writer)
        self._write_windows(writer)

    def rope_factors(self) -> Mapping[str, Floats]:
        """GGUF names of the tensors that divide the frequencies of rotation, where there are such."""
        kind = rope_type(self._scaling)
        if kind == "llama3":
            return {"rope_freqs.weight": self._llama3_factors()}
        if kind in ("longrope", "su"):
            long = np.asarray(self._scaling["long_factor"], np.float32)
            short = np.asarray(self._scaling.get("short_factor", long), np.float32)
            return {"rope_factors_long.weight": long, "rope_factors_short.weight": short}
        return {}

    def _rows(self, name: str) -> int:
        return self._shape(f"{_FIRST}.{name}.weight")[0]

    def _write_scaling(self, writer: gguf.GGUFWriter) -> None:
        kind = rope_type(self._scaling)
        if kind == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(float(self._scaling["factor"]))
        elif kind == "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(float(self._scaling["factor"]))
            writer.add_rope_scaling_orig_ctx_len(self._original_context)
        elif self._architecture.name == "phi3":
            writer.add_rope_scaling_orig_ctx_len(self._original_context)
            scale = self._context / self._original_context
            if kind in ("longrope", "su") and scale > 1:
                factor = math.sqrt(1 + math.log(scale) / math.log(self._original_context))
                writer.add_rope_scaling_attn_factors(factor)

    def _write_windows(self, writer: gguf.GGUFWriter) -> None:
        if self._architecture.name == "phi3":
            # mlx-lm attends to everything; zero tells llama.cpp to do so too.
            writer.add_sliding_window(0)
        elif self._architecture.name == "gemma3":
            writer.add_sliding_window(int(self._config.get("sliding_window", 512)))
            writer.add_rope_freq_base_swa(float(self._config.get("rope_local_base_freq", 1e4)))

    def _llama3_factors(self) -> Floats:
        """Long waves are stretched, short ones are left, those between blend: by what each is divided."""
        scaling = self._scaling
        factor = float(scaling["factor"])
        low, high = float(scaling.get("low_freq_factor", 1.0)), float(scaling.get("high_freq_factor", 4.0))
        context = float(scaling.get("original_max_position_embeddings", 8192))
        exponents = np.arange(0, self._rotated, 2, dtype=np.float64) / self._rotated
        waves = 2 * math.pi * self._theta**exponents
        smooth = (context / waves - low) / (high - low)
        between = 1 / ((1 - smooth) / factor + smooth)
        factors = np.where(waves > context / low, factor, np.where(waves < context / high, 1.0, between))
        return factors.astype(np.float32)
