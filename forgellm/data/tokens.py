"""Opening a model's tokenizer. How text and chats are encoded with it is `encoding`'s part."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from forgellm.domain.errors import InvalidModel


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a model folder, a `transformers` one that runs no code from the model.

    Raises InvalidModel where it cannot be read or has no exact offsets (a tokenizer written in Python).
    """
    # transformers takes 0.7 s to import; those who only read rows and documents do not wait for it.
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise _unusable(path, f"cannot be read: {error}") from error
    if not tokenizer.is_fast:
        raise _unusable(path, "has no tokenizer.json, so the place of each token in the text is not known")
    # Some tokenizer.json files ask for truncation or padding, which would cut documents in silence.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def identity(tokenizer: Any) -> str:
    """sha256 over everything that decides which tokens it makes: its chat template too, and which ones begin
    and end a text."""
    backend = tokenizer.backend_tokenizer.to_str()
    named = sorted(tokenizer.special_tokens_map.items())
    return hashlib.sha256(f"{backend}\n{tokenizer.chat_template!r}\n{named!r}".encode()).hexdigest()


def _unusable(path: Path, reason: str) -> InvalidModel:
    return InvalidModel(
        f"the tokenizer of {path.name} {reason}",
        details={"path": str(path)},
        suggestion="Copy or download the model again, with its tokenizer.json.",
    )
