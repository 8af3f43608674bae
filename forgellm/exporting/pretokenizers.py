"""Which of llama.cpp's ways of cutting text before tokenising is that of a tokenizer.json.

They are told apart by what the file says, not by what a known model's tokenizer makes of a known text: a
tokenizer that was trained anew has other tokens and may still cut as one that llama.cpp knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SPM_NAME = "default"

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_REST_WITH_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BY_THREE = rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
_BY_ONE = rf"{_WORDS}|\p{{N}}|{_REST}"
_TEKKEN = rf"{_UPPER}*{_LOWER}+|{_UPPER}+{_LOWER}*|\p{{N}}|{_REST_WITH_SLASH}"
_GPT_4O_WORDS = rf"{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
_GPT_4O = rf"{_GPT_4O_WORDS}|\p{{N}}{{1,3}}|{_REST_WITH_SLASH}"

_Steps = tuple[tuple[str, ...], ...]
_BYTES, _GPT2, _DIGITS = ("bytes",), ("gpt2",), ("digits",)
# With `ignore_merges` a word that is a token is taken whole; there that belongs to the name.
_NAMES: Mapping[tuple[_Steps, bool], str] = {
    ((_GPT2,), False): "gpt-2",
    ((_DIGITS, _GPT2), False): "smollm",
    ((("split", _BY_THREE), _BYTES), True): "llama-bpe",
    ((("split", _BY_THREE), _BYTES), False): "dbrx",
    ((("split", _BY_ONE), _BYTES), False): "qwen2",
    ((("split", _TEKKEN), _BYTES), True): "tekken",
    ((("split", _GPT_4O), _BYTES), False): "gpt-4o",
}


def pre_tokenizer(tokenizer: Mapping[str, Any]) -> str | None:
    """llama.cpp's name for how the tokenizer of a tokenizer.json cuts text, or None where it has none."""
    model = tokenizer["model"]
    if model.get("type", "BPE") != "BPE":
        return None
    if model.get("byte_fallback"):
        return SPM_NAME if _is_sentencepiece(tokenizer) else None
    normalizer = tokenizer.get("normalizer")
    # Qwen's: texts are in that form nearly always, and llama.cpp takes them as they are.
    if normalizer is not None and normalizer.get("type") != "NFC":
        return None
    steps = tuple(_steps(tokenizer.get("pre_tokenizer")))
    return _NAMES.get((steps, bool(model.get("ignore_merges"))))


def is_sentencepiece(tokenizer: Mapping[str, Any]) -> bool:
    """Whether its tokens are pieces of text with bytes as the last resort; otherwise they are bytes."""
    return bool(tokenizer["model"].get("byte_fallback"))


def adds_space(tokenizer: Mapping[str, Any]) -> bool:
    """Whether a sentencepiece tokenizer puts a space before the text."""
    if any(step.get("type") == "Prepend" for step in _flat(tokenizer.get("normalizer"), "normalizers")):
        return True
    steps = _flat(tokenizer.get("pre_tokenizer"), "pretokenizers")
    return any(s.get("type") == "Metaspace" and s.get("prepend_scheme", "always") != "never" for s in steps)


def _is_sentencepiece(tokenizer: Mapping[str, Any]) -> bool:
    normalizers = [step.get("type") for step in _flat(tokenizer.get("normalizer"), "normalizers")]
    splits = [step.get("type") for step in _flat(tokenizer.get("pre_tokenizer"), "pretokenizers")]
    return set(normalizers) <= {"Prepend", "Replace"} and set(splits) <= {"Metaspace", "Split"}


def _flat(step: Mapping[str, Any] | None, inner: str) -> list[Mapping[str, Any]]:
    if step is None:
        return []
    return list(step[inner]) if step.get("type") == "Sequence" else [step]


def _steps(step: Mapping[str, Any] | None) -> Iterator[tuple[str, ...]]:
    for part in _flat(step, "pretokenizers"):
        kind = part.get("type")
        isolated = (part.get("behavior"), bool(part.get("invert"))) in (
            ("Isolated", False),
            ("Removed", True),
        )
        if kind == "Split" and isolated:
            yield "split", str(part.get("pattern", {}).get("Regex"))
        elif kind == "Digits" and part.get("individual_digits"):
            yield _DIGITS
        elif kind == "ByteLevel" and not part.get("add_prefix_space"):
            yield _GPT2 if part.get("use_regex", True) else _BYTES
        else:
            yield "unknown", str(kind)
