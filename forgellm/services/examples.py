"""Saving an exchange as an example to train on: one more line in `dataset/NAME/chats.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from forgellm.domain.chat import Message
from forgellm.domain.errors import InvalidField
from forgellm.services.parts import Parts
from forgellm.storage.files import append_json_line, exclusive, storage_errors

FILE = "chats.jsonl"
_NAME = re.compile(r"[^\W_][\w .-]{0,79}")


def save_example(parts: Parts, dataset: str, messages: Sequence[Message]) -> int:
    """Append the exchange to a dataset of examples, which is made where it is missing; how many examples were
    saved there like this. Raises InvalidField, InvalidPath, DiskFull, ReadOnly."""
    _check(messages)
    path = _folder(parts, dataset) / FILE
    turns = [{"role": message.role, "content": message.content} for message in messages]
    with exclusive(parts.workspace.private / "examples.lock"):
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        append_json_line(path, {"messages": turns}, sync=True)
        with open(path, "rb") as file:
            return sum(1 for line in file if line.strip())


def _folder(parts: Parts, dataset: str) -> Path:
    if not _NAME.fullmatch(dataset) or dataset != dataset.strip():
        raise InvalidField(
            f"{dataset!r:.80} cannot name a dataset",
            details={"field": "name"},
            suggestion="Use up to 80 letters, digits, blanks, dots, hyphens and underscores.",
        )
    folder = parts.workspace.resolve(dataset, within=parts.workspace.datasets)
    files = [p for p in folder.rglob("*") if p.is_file() and p.name[0] != "."] if folder.is_dir() else []
    if files and not any(path.suffix.lower() == ".jsonl" for path in files):
        raise InvalidField(
            f"{dataset} holds documents, not examples",
            details={"field": "name", "dataset": dataset},
            suggestion="Choose another dataset, or give a new name.",
        )
    return folder


def _check(messages: Sequence[Message]) -> None:
    """Raises InvalidField for what is no conversation that ends with an answer."""
    roles = [message.role for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    in_turns = turns and turns == ["user", "assistant"] * (len(turns) // 2)
    if not in_turns or any(not message.content.strip() for message in messages):
        raise InvalidField(
            "an example is questions and answers in turns, none of them empty",
            details={"field": "messages", "roles": roles[:20]},
            suggestion="Give an optional system message, then user and assistant in turns.",
        )
