"""The tokens of a tokenizer.json in the form of a GGUF file, with those that begin and end a text.

Bytes stay in the printable form that byte-level tokenizers give them; llama.cpp knows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgellm.exporting.architectures import unsupported
from forgellm.exporting.pretokenizers import adds_space, is_sentencepiece, pre_tokenizer
from forgellm.storage.models import ModelFolder

# llama.cpp's numbers.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_NEVER_MERGED = -1e6
_PHI3 = frozenset(("</s>", "<unk>", "<s>", "<|endoftext|>"))
_SAYS_PHI3 = re.compile("phi-?3", re.IGNORECASE)
_SPACE = "▁"


@dataclass(frozen=True)
class Vocabulary:
    """`kind` is llama.cpp's name of the algorithm: `gpt2` merges bytes, `llama` pieces by `scores`.

    `ends` are the tokens that end an answer, that of the tokenizer first.
    """

    kind: str
    pre: str
    tokens: Sequence[str]
    types: Sequence[int]
    merges: Sequence[str]
    scores: Sequence[float]
    begin: int | None
    ends: Sequence[int]
    pad: int | None
    unknown: int | None
    adds_begin: bool
    adds_space: bool | None
    strips_after_special: bool
    template: str | None


def title(name: str, vocabulary: Vocabulary) -> str:
    """What the file calls the model. llama.cpp takes from this name whether white space after special tokens
    belongs to them, as in Phi-3, and crashes where such a name comes with another vocabulary.
    """
    if vocabulary.strips_after_special:
        return name if _SAYS_PHI3.search(name) else f"{name} (Phi-3)"
    return _SAYS_PHI3.sub("Phi 3", name)


def check_tokenizer(model: ModelFolder) -> None:
    """Raises UnsupportedExport where llama.cpp would cut text otherwise than the model's tokenizer."""
    _pre(model, _tokenizer(model))


def read_vocabulary(model: ModelFolder, rows: int) -> Vocabulary:
    """The vocabulary of `model`, filled up to the `rows` of its embedding. Raises UnsupportedExport."""
    tokenizer = _tokenizer(model)
    settings = _object(model.path / "tokenizer_config.json")
    if max(tokenizer["model"]["vocab"].values()) >= rows:
        raise unsupported(model.name, f"its tokenizer has more tokens than the {rows} that the model embeds")
    # Gemma's smallest has added tokens for images, which it does not embed.
    ids = {text: number for text, number in _ids(tokenizer).items() if number < rows}
    pieces = is_sentencepiece(tokenizer)
    merges = [_merge(pair) for pair in tokenizer["model"].get("merges", [])]
    tokens, types = _tokens(tokenizer, ids, rows, pieces=pieces)
    begin = _named(settings, "bos_token", ids)
    return Vocabulary(
        kind="llama" if pieces else "gpt2",
        pre=_pre(model, tokenizer),
        tokens=tokens,
        types=types,
        merges=[] if pieces else [" ".join(pair) for pair in merges],
        scores=_scores(tokens, types, merges) if pieces else [],
        begin=begin,
        ends=_ends(model, settings, ids),
        pad=_named(settings, "pad_token", ids),
        unknown=_named(settings, "unk_token", ids),
        adds_begin=_adds_begin(tokenizer, settings, begin),
        adds_space=adds_space(tokenizer) if pieces else None,
        strips_after_special=ids.keys() >= _PHI3 and _strips(tokenizer),
        template=read_template(model.path),
    )


def read_template(folder: Path) -> str | None:
    """The chat template of a model, as transformers chooses it."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    value = _object(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(value, list):
        named = {str(one.get("name")): one.get("template") for one in value if isinstance(one, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None


def _pre(model: ModelFolder, tokenizer: Mapping[str, Any]) -> str:
    try:
        name = pre_tokenizer(tokenizer)
    except (AttributeError, KeyError, TypeError):
        # Not what the format says, whatever it is.
        name = None
    if name is None:
        raise unsupported(model.name, "its tokenizer cuts text in a way that llama.cpp has no name for")
    return name


def _tokenizer(model: ModelFolder) -> Mapping[str, Any]:
    tokenizer = _object(model.path / "tokenizer.json")
    if not isinstance(tokenizer.get("model"), dict) or not isinstance(tokenizer["model"].get("vocab"), dict):
        raise unsupported(model.name, "it has no tokenizer.json with a vocabulary of byte pairs")
    return tokenizer


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _ids(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    added = {str(token["content"]): int(token["id"]) for token in tokenizer.get("added_tokens", [])}
    return {**tokenizer["model"]["vocab"], **added}


def _merge(pair: object) -> tuple[str, str]:
    """Written as a pair or, by older versions, as two words."""
    if isinstance(pair, str):
        first, _, second = pair.partition(" ")
        return first, second
    assert isinstance(pair, list)
    return str(pair[0]), str(pair[1])


def _tokens(
    tokenizer: Mapping[str, Any], ids: Mapping[str, int], rows: int, *, pieces: bool
) -> tuple[list[str], list[int]]:
    tokens = [f"[PAD{n}]" for n in range(rows)]
    types = [UNUSED] * rows
    for text, number in ids.items():
        tokens[number], types[number] = text, _piece_type(text) if pieces else NORMAL
    unknown = tokenizer["model"].get("unk_token")
    if pieces and unknown in ids:
        types[ids[unknown]] = UNKNOWN
    for added in tokenizer.get("added_tokens", []):
        number, text = int(added["id"]), str(added["content"])
        if number >= rows or types[number] == UNKNOWN:
            continue
        types[number] = CONTROL if added.get("special") else USER_DEFINED
        # Looked for in the text before spaces get their mark.
        tokens[number] = text.replace(_SPACE, " ") if pieces and not added.get("special") else text
    return tokens, types


def _piece_type(text: str) -> int:
    return BYTE if len(text) == 6 and text.startswith("<0x") and text.endswith(">") else NORMAL


def _scores(tokens: Sequence[str], types: Sequence[int], merges: Sequence[tuple[str, str]]) -> list[float]:
    """llama.cpp joins what makes the piece with the best score: the one that is merged first here."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        ranks.setdefault("".join(pair), rank)
    return [
        -float(ranks[token])
        if token in ranks and kind == NORMAL
        else 0.0
        if len(token) == 1
        else _NEVER_MERGED
        for token, kind in zip(tokens, types, strict=True)
    ]


def _named(settings: Mapping[str, Any], name: str, ids: Mapping[str, int]) -> int | None:
    value = settings.get(name)
    text = value.get("content") if isinstance(value, dict) else value
    return ids.get(text) if isinstance(text, str) else None


def _ends(model: ModelFolder, settings: Mapping[str, Any], ids: Mapping[str, int]) -> list[int]:
    found: list[object] = [_named(settings, "eos_token", ids)]
    for source in (model.config, _object(model.path / "generation_config.json")):
        value = source.get("eos_token_id")
        found += value if isinstance(value, list) else [value]
    return list(dict.fromkeys(one for one in found if isinstance(one, int)))


def _strips(tokenizer: Mapping[str, Any]) -> bool:
    added = tokenizer.get("added_tokens", [])
    return any(token.get("rstrip") for token in added if token.get("special"))


def _adds_begin(tokenizer: Mapping[str, Any], settings: Mapping[str, Any], begin: int | None) -> bool:
    """Whether a text is begun with the token for it, which the tokenizer's last step does."""
    if begin is None:
        return False
    steps = tokenizer.get("post_processor") or {}
    for step in steps.get("processors", [steps]):
        if step.get("type") == "TemplateProcessing":
            first = (step.get("single") or [{}])[0].get("SpecialToken", {}).get("id")
            return first in {t for t, n in _ids(tokenizer).items() if n == begin}
    return settings.get("add_bos_token") is True and is_sentencepiece(tokenizer)
