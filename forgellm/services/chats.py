"""Chats: starting, changing, searching and carrying them. How they lie on the disk is `storage/chats.py`.

Messages are a tree: an edited question or another answer is one more child of the same parent, and the chat
remembers which branch is shown. Nothing is overwritten but an answer that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timezone

from forgellm.domain.errors import InvalidField
from forgellm.services.parts import Parts
from forgellm.storage.chats import (
    ChatMessage,
    Head,
    append_messages,
    chats_alone,
    create_chat,
    find_head,
    list_heads,
    read_messages,
    write_head,
)

MOST_MESSAGES = 10_000
"""In one chat, on all its branches."""

_AROUND = 60


@dataclass(frozen=True)
class Found:
    """A chat of a list; `excerpt` is where its text has the words that were sought."""

    head: Head
    excerpt: str = ""


@dataclass(frozen=True)
class Change:
    """What is to be different; None leaves a thing as it is."""

    title: str | None = None
    settings: Mapping[str, object] | None = None
    leaf: str | None = None


def start(
    parts: Parts,
    *,
    title: str,
    settings: Mapping[str, object],
    messages: Sequence[ChatMessage],
    leaf: str | None,
) -> Head:
    """A new chat, or one from elsewhere with its messages. Raises InvalidField, DiskFull, ReadOnly."""
    _check_tree({}, messages)
    if leaf is not None:
        _leaf({message.id: message for message in messages}, leaf)
    now = _now(parts)
    head = create_chat(parts.workspace, Head("", title, now, now, settings), now=parts.clock())
    return add(parts, head.id, messages, leaf=leaf) if messages else head


def add(parts: Parts, chat_id: str, messages: Sequence[ChatMessage], *, leaf: str | None = None) -> Head:
    """Add messages, or let answers of the same id take the place of what they were so far; the last one, or
    `leaf`, is shown from now on. Raises ChatNotFound, InvalidField, DiskFull, ReadOnly."""
    with chats_alone(parts.workspace):
        head = find_head(parts.workspace, chat_id)
        known = {message.id: message for message in read_messages(parts.workspace, chat_id)}
        _check_tree(known, messages)
        now = _now(parts)
        dated = [replace(m, created=_created(m, known) or now) for m in messages]
        known.update((message.id, message) for message in dated)
        head = replace(head, updated=now, messages=len(known), leaf=_leaf(known, leaf or messages[-1].id))
        append_messages(parts.workspace, chat_id, dated)
        write_head(parts.workspace, head)
    return head


def change(parts: Parts, chat_id: str, wish: Change) -> Head:
    """Another title, settings or branch. Raises ChatNotFound, InvalidField, DiskFull, ReadOnly."""
    with chats_alone(parts.workspace):
        head = find_head(parts.workspace, chat_id)
        if wish.title is not None:
            head = replace(head, title=wish.title)
        if wish.settings is not None:
            head = replace(head, settings=wish.settings)
        if wish.leaf is not None:
            known = {message.id: message for message in read_messages(parts.workspace, chat_id)}
            head = replace(head, leaf=_leaf(known, wish.leaf))
        write_head(parts.workspace, head)
    return head


def search(parts: Parts, words: str) -> Iterator[Found]:
    """The chats whose titles and texts have all the words somewhere, the latest first; all without words."""
    wanted = words.lower().split()
    for head in list_heads(parts.workspace):
        if not wanted:
            yield Found(head)
            continue
        texts = [head.title, *(message.content for message in read_messages(parts.workspace, head.id))]
        folded = [text.lower() for text in texts]
        if all(any(word in text for text in folded) for word in wanted):
            yield Found(head, _excerpt(texts[1:], folded[1:], wanted))


def _check_tree(known: Mapping[str, ChatMessage], messages: Sequence[ChatMessage]) -> None:
    """Raises InvalidField for messages that hang on nothing, or that would become others."""
    seen = dict(known)
    for message in messages:
        before = seen.get(message.id)
        if before is not None and (before.parent, before.role) != (message.parent, message.role):
            raise _wrong(f"message {message.id} is there already, at another place", message)
        for name, other in (("parent", message.parent), ("beside", message.beside)):
            if other is not None and (other == message.id or other not in seen):
                raise _wrong(f"the {name} of message {message.id} is not in this chat", message)
        seen[message.id] = message
    if len(seen) > MOST_MESSAGES:
        raise InvalidField(
            f"a chat has {MOST_MESSAGES} messages at most",
            details={"field": "messages", "limit": MOST_MESSAGES},
            suggestion="Begin a new one.",
        )


def _created(message: ChatMessage, known: Mapping[str, ChatMessage]) -> str:
    before = known.get(message.id)
    return message.created or (before.created if before else "")


def _leaf(known: Mapping[str, ChatMessage], leaf: str) -> str:
    if leaf not in known:
        raise InvalidField(
            f"message {leaf} is not in this chat",
            details={"field": "leaf"},
            suggestion="Give the id of one of its messages.",
        )
    return leaf


def _excerpt(texts: Sequence[str], folded: Sequence[str], wanted: Sequence[str]) -> str:
    """The first text with one of the words, around that word."""
    for text, plain in zip(texts, folded, strict=True):
        places = [place for word in wanted if (place := plain.find(word)) >= 0]
        if places:
            begin = max(0, min(places) - _AROUND)
            cut = " ".join(text[begin : min(places) + 2 * _AROUND].split())
            return f"…{cut}" if begin else cut
    return ""


def _wrong(reason: str, message: ChatMessage) -> InvalidField:
    return InvalidField(
        reason,
        details={"field": "messages", "message": message.id},
        suggestion="Send each message after its parent, under an id of its own.",
    )


def _now(parts: Parts) -> str:
    moment = parts.clock().astimezone(timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
