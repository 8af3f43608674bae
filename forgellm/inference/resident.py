"""The model that is in memory: its weights, tokenizer and adapter. All of it runs in the engine's thread."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.utils import load_tokenizer

from forgellm.domain.chat import GenerationRequest
from forgellm.domain.errors import InvalidModel
from forgellm.inference.grammar import SchemaProcessor, Vocabulary
from forgellm.inference.overlay import Overlay, lay
from forgellm.inference.prompts import ChatForm, Prompt, chat_form
from forgellm.inference.rendering import Renderer
from forgellm.inference.sampling import Processor, processors
from forgellm.storage.adapters import read_config
from forgellm.storage.models import context_length
from forgellm.storage.targets import Source
from forgellm.training.adapters import load_base


class Resident:
    """One base model, and at most one adapter that is put on and taken off for each request."""

    def __init__(self, source: Source, renderer: Renderer) -> None:
        """Load `source`. Raises InvalidModel, InvalidAdapter, InvalidField, TemplateTimeout."""
        self._model, config = load_base(source.model_path)
        self._model.eval()
        tokenizer = _tokenizer(source.model_path, config)
        self.form: ChatForm = chat_form(tokenizer, renderer)
        self._vocabulary = Vocabulary(tokenizer)
        self.context = context_length(source.config)
        self._overlay: Overlay | None = None
        self._adapted = False
        self.source = source
        self._lay(source)

    def change_adapter(self, source: Source) -> None:
        """Take another adapter, or none, on the same base.

        Raises InvalidAdapter or InvalidField where it does not fit.
        """
        self._use(adapted=False)
        self._overlay = None
        self._lay(source)
        self.source = source
        mx.clear_cache()

    def model(self, *, plain_base: bool) -> nn.Module:
        """The model to compute with from here on: with its adapter, or without."""
        self._use(adapted=not plain_base)
        return self._model

    def room(self, prompt: Prompt, wanted: int) -> int:
        """How many tokens an answer may have: as `wanted`, and no more than the context takes."""
        return wanted if self.context is None else min(wanted, self.context - len(prompt.tokens))

    @property
    def head_size(self) -> int:
        """Width of one attention head, 0 where the configuration does not say."""
        config = self.source.config
        given = config.get("head_dim")
        if isinstance(given, int):
            return given
        hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
        return hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads else 0

    def cache_key(self, *, plain_base: bool) -> tuple[str, str | None]:
        """What a KV cache belongs to: the same tokens mean something else to other weights."""
        return self.source.identity, None if plain_base else self.source.adapter_identity

    def processors(self, request: GenerationRequest, prompt: Prompt) -> list[Processor]:
        """What changes the logits of an answer before a token is drawn."""
        made = processors(request.sampling)
        if request.schema is not None:
            thought_end = self.form.tokenizer.think_end_id if prompt.thinks else None
            start = len(prompt.tokens)
            made.append(
                SchemaProcessor(request.schema, self._vocabulary, start=start, thought_end=thought_end)
            )
        return made

    def _lay(self, source: Source) -> None:
        if source.adapter is not None:
            folder, weights = source.adapter
            self._overlay = lay(self._model, weights, read_config(folder))
            self._adapted = True

    def _use(self, *, adapted: bool) -> None:
        if self._overlay is None or adapted == self._adapted:
            return
        if adapted:
            self._overlay.put_on(self._model)
        else:
            self._overlay.take_off(self._model)
        self._adapted = adapted


def free_memory() -> None:
    """Give back what a model that nobody refers to any more has used."""
    gc.collect()
    mx.clear_cache()


def _tokenizer(path: Path, config: Mapping[str, Any]) -> Any:
    try:
        tokenizer = load_tokenizer(path, eos_token_ids=config.get("eos_token_id"))
        # Some settings are looked at only when there is a text.
        tokenizer.encode("Q")
        return tokenizer
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InvalidModel(
            f"the tokenizer of {path.name} cannot be read: {error}",
            suggestion="Copy or download the model again, with its tokenizer.json.",
        ) from None
