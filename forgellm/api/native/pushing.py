"""Putting a model on the Hugging Face Hub: what would be there, and the run that does it."""

from __future__ import annotations

from pydantic import Field

from forgellm.api.native.after_training import RunStarted, run_started
from forgellm.api.routes import Answer, Body, Route
from forgellm.forge import Forge
from forgellm.services import pushing
from forgellm.services.pushing import PushWish


class Push(Body):
    model_name: str = Field(description="a model, or models/exports/NAME of an adapter for PEFT")
    repo_id: str = Field(description="OWNER/NAME on the Hub")
    private: bool = Field(True, description="seen by the owner alone")
    update: bool = Field(False, description="replace the files of a model that is there already")
    exports: list[str] = Field([], max_length=20, description="GGUF exports to lie beside the model, by name")


class PushedFile(Answer):
    path: str
    size_bytes: int


class PushPreview(Answer):
    repo_id: str
    private: bool
    files: list[PushedFile]
    card: str = Field(description="README.md as it would be there, the data in front included")


def preview(forge: Forge, body: Push) -> PushPreview:
    """What a push would put on the Hub; nothing is sent, and nobody there is asked."""
    shown = pushing.preview(forge, _wish(body))
    files = [PushedFile(path=file.path, size_bytes=file.size_bytes) for file in shown.files]
    return PushPreview(repo_id=shown.repo_id, private=shown.private, files=files, card=shown.card)


def push(forge: Forge, body: Push) -> RunStarted:
    """Put a model, or an adapter for PEFT, on the Hub with the token of this process's environment."""
    return run_started(forge, pushing.push(forge, _wish(body)))


def _wish(body: Push) -> PushWish:
    return PushWish(**body.model_dump())


ROUTES = (
    Route("POST", "/api/push/preview", preview),
    Route("POST", "/api/push", push),
)
