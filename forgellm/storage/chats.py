"""Chats in `.forgellm/chats/ID/`: `chat.json` says what a chat is called and how it asks, `messages.jsonl`
has a line for every message.

A line takes the place of an earlier one of the same id, so whoever adds never overwrites what another window
has added. How messages hang together is decided in `services/chats.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from forgellm.domain.errors import ChatNotFound
from forgellm.storage.files import (
    append_json_line,
    exclusive,
    read_json,
    read_json_lines,
    storage_errors,
    write_json,
)
from forgellm.storage.workspace import Workspace

_ID = re.compile(r"chat_[0-9]{8}_[0-9]{6}(_[0-9]{1,6})?")
_HEAD, _MESSAGES = "chat.json", "messages.jsonl"


@dataclass(frozen=True)
class Head:
    """What is known of a chat without reading its messages. Times are ISO 8601 in UTC; `leaf` is the last
    message of the branch that is shown, `messages` how many there are on all branches."""

    id: str
    title: str
    created: str
    updated: str
    settings: Mapping[str, object] = field(default_factory=dict)
    leaf: str | None = None
    messages: int = 0


@dataclass(frozen=True)
class ChatMessage:
    """`parent` is the message before it, None for a first one. `beside` is the answer that this one was given
    together with, by another model; `facts` is how an answer came about."""

    id: str
    parent: str | None
    role: str
    content: str
    created: str
    thinking: str = ""
    beside: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def create_chat(workspace: Workspace, head: Head, *, now: datetime) -> Head:
    """Make its folder, under an id of this second in place of the one it has. Raises DiskFull, ReadOnly."""
    with chats_alone(workspace):
        taken = {
            folder.name for parent in (_folder(workspace), workspace.trash) for folder in _entries(parent)
        }
        stem = f"chat_{now:%Y%m%d_%H%M%S}"
        names = (stem if number == 1 else f"{stem}_{number}" for number in range(1, len(taken) + 2))
        head = Head(**{**asdict(head), "id": next(name for name in names if name not in taken)})
        folder = _folder(workspace) / head.id
        with storage_errors(folder):
            folder.mkdir(parents=True)
        write_head(workspace, head)
    return head


def list_heads(workspace: Workspace) -> list[Head]:
    """Every chat, the one that was written to last first. What cannot be read is left out."""
    heads = (_read_head(folder) for folder in _entries(_folder(workspace)) if _ID.fullmatch(folder.name))
    return sorted((head for head in heads if head is not None), key=lambda head: head.updated, reverse=True)


def find_head(workspace: Workspace, chat_id: str) -> Head:
    """Raises ChatNotFound."""
    head = _read_head(_folder(workspace) / chat_id) if _ID.fullmatch(chat_id) else None
    if head is None:
        raise _not_found(chat_id, "GET /api/chats lists those there are.")
    return head


def write_head(workspace: Workspace, head: Head) -> None:
    """Replace it. Raises DiskFull, ReadOnly, PathNotFound for a chat that was deleted meanwhile."""
    write_json(_folder(workspace) / head.id / _HEAD, asdict(head))


def read_messages(workspace: Workspace, chat_id: str) -> list[ChatMessage]:
    """Every message, each after its parent; lines that are damaged are left out."""
    found: dict[str, ChatMessage] = {}
    for record in read_json_lines(_folder(workspace) / chat_id / _MESSAGES).records:
        message = _message(record)
        if message is not None and (message.parent is None or message.parent in found):
            found[message.id] = message
    return list(found.values())


def append_messages(workspace: Workspace, chat_id: str, messages: Sequence[ChatMessage]) -> None:
    """Add them, or replace those of the same ids. Raises DiskFull, ReadOnly, PathNotFound."""
    for number, message in enumerate(messages, start=1):
        path = _folder(workspace) / chat_id / _MESSAGES
        append_json_line(path, asdict(message), sync=number == len(messages))


def trash_chat(workspace: Workspace, chat_id: str) -> None:
    """Put it into the trash. Raises ChatNotFound, ReadOnly."""
    find_head(workspace, chat_id)
    with chats_alone(workspace):
        _move(_folder(workspace) / chat_id, _trashed(workspace, chat_id), chat_id=chat_id)


def restore_chat(workspace: Workspace, chat_id: str) -> Head:
    """Bring it back from the trash. Raises ChatNotFound, ReadOnly."""
    if not _ID.fullmatch(chat_id):
        raise _not_found(chat_id, "The id of a chat is chat_20250115_103045.")
    trashed = _trashed(workspace, chat_id)
    with chats_alone(workspace):
        _move(trashed, _folder(workspace) / chat_id, chat_id=chat_id)
    with suppress(OSError):
        trashed.parent.rmdir()
    return find_head(workspace, chat_id)


@contextmanager
def chats_alone(workspace: Workspace) -> Iterator[None]:
    """Between reading and writing nobody else writes."""
    with exclusive(workspace.private / "chats.lock"):
        yield


def _move(source: Path, target: Path, *, chat_id: str) -> None:
    with storage_errors(target):
        if not source.is_dir():
            raise _not_found(chat_id, "It was deleted or brought back meanwhile.")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)


def _trashed(workspace: Workspace, chat_id: str) -> Path:
    return workspace.trash / chat_id / "chat"


def _folder(workspace: Workspace) -> Path:
    return workspace.private / "chats"


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _read_head(folder: Path) -> Head | None:
    try:
        values = read_json(folder / _HEAD)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    settings, leaf, messages = values.get("settings"), values.get("leaf"), values.get("messages")
    return Head(
        id=folder.name,
        title=str(values.get("title") or ""),
        created=str(values.get("created") or ""),
        updated=str(values.get("updated") or ""),
        settings=settings if isinstance(settings, dict) else {},
        leaf=leaf if isinstance(leaf, str) else None,
        messages=messages if type(messages) is int else 0,
    )


def _message(values: Mapping[str, object]) -> ChatMessage | None:
    texts = {name: values.get(name) for name in ("id", "role", "content", "created")}
    parent, beside, thinking, facts = (values.get(name) for name in ("parent", "beside", "thinking", "facts"))
    if not all(isinstance(text, str) for text in texts.values()) or texts["role"] not in (
        "user",
        "assistant",
    ):
        return None
    return ChatMessage(
        **{name: str(text) for name, text in texts.items()},
        parent=parent if isinstance(parent, str) else None,
        thinking=thinking if isinstance(thinking, str) else "",
        beside=beside if isinstance(beside, str) else None,
        facts=facts if isinstance(facts, dict) else {},
    )


def _not_found(chat_id: str, suggestion: str) -> ChatNotFound:
    return ChatNotFound(
        f"there is no chat {chat_id!r:.80}", details={"chat": chat_id[:80]}, suggestion=suggestion
    )
