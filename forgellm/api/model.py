"""/api/model: loading a model with its adapter, what is resident, letting go. Asking it is in `generate`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from forgellm.api.native.wording import gigabytes
from forgellm.api.routes import Answer, Body, Route
from forgellm.domain.chat import ModelType, Target
from forgellm.domain.errors import InvalidField
from forgellm.services import resident
from forgellm.services.model_host import ModelHost


class Load(Body):
    model_name: str | None = Field(
        None, description="a Hub id, a folder below models/, a run, run@iteration or base+run"
    )
    adapter_path: str | None = Field(None, description="the folder of an adapter, or one of its checkpoints")
    training_id: str | None = Field(None, description="a run, instead of adapter_path: its best checkpoint")
    iteration: int | None = Field(None, ge=0, le=2**53, description="another checkpoint of training_id")
    force: bool = Field(False, description="also where memory seems too short")


class Loading(Answer):
    message: str = "Model loading started"
    model_name: str
    adapter_path: str | None


class LoadError(BaseModel):
    error: str
    error_code: str
    suggestion: str


class Status(Answer):
    loaded: bool
    is_loading: bool
    model_name: str | None
    adapter_path: str | None
    model_type: ModelType | None = Field(description="by the tokenizer's chat template; null while loading")
    memory_usage_gb: float = Field(description="of the whole model server")
    context_length: int | None
    training_id: str | None = Field(description="the run that the adapter comes from")
    iteration: int | None = Field(description="the checkpoint, where adapter_path names one")
    error: LoadError | None = Field(description="why the last load failed; nothing is resident then")
    active_requests: int
    waiting_requests: int


class Unloaded(Answer):
    message: str = "Model unloaded successfully"


def load(host: ModelHost, body: Load) -> Loading:
    """Begin to load a model; requests wait for it. A wrong name is refused at once."""
    target = _target(host, body)
    host.load(target, force=body.force)
    return Loading(model_name=target.model_name, adapter_path=target.adapter_path)


def status(host: ModelHost) -> Status:
    """What is resident, being loaded, or could not be loaded, and how much is asked."""
    found = host.status()
    target = found.target
    training_id, iteration = resident.trained_by(host.parts, target) if target else (None, None)
    return Status(
        loaded=found.loaded,
        is_loading=found.is_loading,
        model_name=target.model_name if target else None,
        adapter_path=target.adapter_path if target else None,
        model_type=found.model_type,
        memory_usage_gb=gigabytes(found.memory_bytes),
        context_length=found.context_length,
        training_id=training_id,
        iteration=iteration,
        error=_error(found.error) if found.error else None,
        active_requests=found.active_requests,
        waiting_requests=found.waiting_requests,
    )


def unload(host: ModelHost) -> Unloaded:
    """Let go of the model, once it has answered; its memory is free then."""
    host.unload()
    return Unloaded()


def _target(host: ModelHost, body: Load) -> Target:
    if body.training_id is not None:
        if body.adapter_path is not None:
            raise _either("adapter_path", "training_id")
        return resident.of_run(host.parts, body.training_id, body.iteration, base=body.model_name)
    if body.iteration is not None:
        raise InvalidField(
            "iteration needs a training_id",
            details={"field": "iteration"},
            suggestion="Give the run's id, or the checkpoint's file as adapter_path.",
        )
    if body.model_name is None:
        raise InvalidField(
            "model_name is missing",
            details={"field": "model_name"},
            suggestion="Give a model_name or a training_id.",
        )
    if body.adapter_path is not None:
        return Target(body.model_name, body.adapter_path)
    return resident.named(host.parts, body.model_name)


def _either(first: str, second: str) -> InvalidField:
    return InvalidField(
        f"{first} and {second} exclude each other", details={"field": second}, suggestion="Give one of them."
    )


def _error(error: object) -> LoadError:
    assert isinstance(error, dict)
    return LoadError(
        error=str(error["error"]), error_code=str(error["code"]), suggestion=str(error["suggestion"])
    )


ROUTES = (
    Route("POST", "/api/model/load", load),
    Route("GET", "/api/model/status", status),
    Route("POST", "/api/model/unload", unload),
)
