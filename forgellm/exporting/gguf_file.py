"""Writing a model as a GGUF file, one weight after the other.

mlx-lm's own writer marks byte-level vocabularies as sentencepiece and token types as the wrong integer, which
llama.cpp refuses. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from forgellm.domain.errors import InvalidModel
from forgellm.domain.exports import GGUF_TYPES, GgufType
from forgellm.exporting.architectures import Architecture, architecture, unsupported
from forgellm.exporting.hyperparameters import Hyperparameters
from forgellm.exporting.vocabulary import Vocabulary, read_vocabulary, title
from forgellm.exporting.weights import Floats, Weights
from forgellm.storage.models import ModelFolder

_F32 = gguf.GGMLQuantizationType.F32
# The matrix that makes the answer's tokens suffers most: 4 and 5 bits are not enough for it.
_OUTPUT = ("output.weight", "token_embd.weight")


@dataclass(frozen=True)
class _Tensor:
    """One tensor of the file: what it is called and stored as, its shape, and how its values are had."""

    name: str
    type: gguf.GGMLQuantizationType
    shape: tuple[int, ...]
    values: Callable[[], Floats]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """In bytes along the last axis."""
        per_block, block_bytes = gguf.GGML_QUANT_SIZES[self.type]
        return (*self.shape[:-1], self.shape[-1] // per_block * block_bytes)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.stored_shape))


class GgufFile:
    """A model about to be written. Raises UnsupportedExport where a weight of it has no place in the file."""

    def __init__(self, model: ModelFolder, kind: GgufType, name: str) -> None:
        self._model = model
        self._kind = kind
        self._name = name
        self._architecture = architecture(model)
        self._weights = Weights(model.path, model.config)
        self._numbers = Hyperparameters(model.config, self._architecture, self._weights.shape)
        self._vocabulary = read_vocabulary(model, self._numbers.vocabulary)
        self._tensors = list(self._planned())

    @property
    def tensors(self) -> int:
        return len(self._tensors)

    @property
    def nbytes(self) -> int:
        """Of all tensors; the metadata adds the vocabulary, some megabytes."""
        return sum(tensor.nbytes for tensor in self._tensors)

    def write(self, path: Path) -> Iterator[int]:
        """Write the file, yielding how many tensors are in it after each. Raises InvalidModel, OSError."""
        writer = gguf.GGUFWriter(path, self._architecture.name)
        try:
            self._describe(writer)
            for tensor in self._tensors:
                writer.add_tensor_info(
                    tensor.name, tensor.stored_shape, np.dtype(np.uint8), tensor.nbytes, raw_dtype=tensor.type
                )
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for done, tensor in enumerate(self._tensors, start=1):
                _append(writer, _stored(tensor, self._model.name))
                yield done
        finally:
            writer.close()

    def _describe(self, writer: gguf.GGUFWriter) -> None:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(title(self._name, self._vocabulary))
        writer.add_file_type(self._kind.file_type)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        self._numbers.write(writer)
        _add_vocabulary(writer, self._vocabulary)

    def _planned(self) -> Iterator[_Tensor]:
        known = gguf.get_tensor_name_map(_arch(self._architecture), self._numbers.layers)
        names = self._weights.names()
        tied = "lm_head.weight" not in names
        for name in names:
            written = known.get_name(name, try_suffixes=(".weight", ".bias"))
            if written is None:
                raise unsupported(self._model.name, f"nothing in a GGUF file stands for its weight {name}")
            shape = self._weights.shape(name)
            kind = self._type_of(written, shape, tied=tied)
            yield _Tensor(written, kind, shape, partial(self._values, name))
        for written, factors in self._numbers.rope_factors().items():
            yield _Tensor(written, _F32, factors.shape, partial(np.asarray, factors))

    def _type_of(self, written: str, shape: tuple[int, ...], *, tied: bool) -> gguf.GGMLQuantizationType:
        if len(shape) < 2:
            return _F32
        kind = self._kind
        if kind.is_quantized and (written == _OUTPUT[0] or (tied and written == _OUTPUT[1])):
            kind = GGUF_TYPES["q8_0"]
        if shape[-1] % kind.block_values:
            kind = GGUF_TYPES["f16"]
        return gguf.GGMLQuantizationType[kind.name.upper()]

    def _values(self, name: str) -> Floats:
        values = self._weights.take(name)
        if self._architecture.norm_offset and name.endswith("norm.weight"):
            values = values + np.float32(self._architecture.norm_offset)
        if self._architecture.permuted:
            for projection, heads in (("q_proj", self._numbers.heads), ("k_proj", self._numbers.kv_heads)):
                if f".self_attn.{projection}." in name:
                    return permuted(values, heads)
        return values


def permuted(values: Floats, heads: int) -> Floats:
    """Rows [heads × (first half, second half)] of q or k as [heads × interleaved pairs]."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _arch(found: Architecture) -> gguf.MODEL_ARCH:
    return next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == found.name)


def _stored(tensor: _Tensor, model: str) -> np.ndarray[Any, np.dtype[Any]]:
    values = tensor.values()
    if not np.isfinite(values).all():
        raise InvalidModel(
            f"{model} cannot be exported: {tensor.name} has values that are not finite",
            details={"model": model, "tensor": tensor.name},
            suggestion="Publish another checkpoint.",
        )
    if (
        tensor.type is gguf.GGMLQuantizationType.F16
        and np.abs(values).max(initial=0) > np.finfo(np.float16).max
    ):
        raise InvalidModel(
            f"{model} cannot be exported in 16 bits of f16: {tensor.name} has values beyond 65,504",
            details={"model": model, "tensor": tensor.name},
            suggestion="Choose bf16, which has the range of 32 bits.",
        )
    return gguf.quants.quantize(values, tensor.type).view(np.uint8)


def _append(writer: gguf.GGUFWriter, data: np.ndarray[Any, np.dtype[Any]]) -> None:
    try:
        writer.write_tensor_data(data)
    except OSError as error:
        if error.errno is not None:
            raise
        # numpy says how much it could write, and not why; a full disk is the usual reason.
        raise OSError(errno.ENOSPC, str(error)) from error


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.kind)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.adds_space is not None:
        writer.add_add_space_prefix(vocabulary.adds_space)
    writer.add_add_bos_token(vocabulary.adds_begin)
    numbers: Mapping[Callable[[int], None], int | None] = {
        writer.add_bos_token_id: vocabulary.begin,
        writer.add_eos_token_id: vocabulary.ends[0] if vocabulary.ends else None,
        writer.add_eot_token_id: vocabulary.ends[1] if len(vocabulary.ends) > 1 else None,
        writer.add_pad_token_id: vocabulary.pad,
        writer.add_unk_token_id: vocabulary.unknown,
    }
    for add, number in numbers.items():
        if number is not None:
            add(number)
    if vocabulary.template is not None:
        writer.add_chat_template(vocabulary.template)
