"""The token that ends an answer where a model's files do not name it.

Base models of several families come with the chat template of their instruct siblings, and with the end of a
text as their only end. A model that was taught by such a template says `<|im_end|>`, and would go on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from forgellm.data.chat import UnmaskableExample, chat_format, render
from forgellm.domain.chat import Message

_ANSWER = "Q0N1Q"
EXCHANGE = (Message("user", "Q"), Message("assistant", _ANSWER))


def unnamed_end(tokenizer: Any, known: Collection[int]) -> int | None:
    """The token that examples teach to end an answer with, where none of the `known` ends follows one.

    Raises InvalidModel where the chat template cannot even render a question.
    """
    form = chat_format(tokenizer)
    try:
        return closing(tokenizer, render(form, EXCHANGE).text, known)
    except UnmaskableExample:
        return None


def closing(tokenizer: Any, rendered: str, known: Collection[int]) -> int | None:
    """`unnamed_end` of a chat template that has `rendered` EXCHANGE."""
    _, answer, rest = rendered.rpartition(_ANSWER)
    special = special_ids(tokenizer)
    ids: list[int] = tokenizer.encode(rest, add_special_tokens=False) if answer else []
    found = [token for token in ids if token in special]
    # Where a known end follows, what stands before it may be said in the middle of an answer too.
    return found[0] if found and not {*found} & {*known} else None


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The tokens that no text is made of."""
    added = (index for index, token in tokenizer.added_tokens_decoder.items() if token.special)
    return frozenset([*added, *tokenizer.all_special_ids])
