"""Every failure a person can meet, named.

An error says what was sought (`message`, `details`) and the way out (`suggestion`). The `code` is stable
and appears in events, JSON answers and on the terminal. How an error is shown is not decided here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class ForgeError(Exception):
    """The root of all named failures; `status` is the HTTP status an API answers with."""

    code = "INTERNAL_ERROR"
    status = 500

    def __init__(
        self, message: str, *, details: Mapping[str, object] | None = None, suggestion: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, object] = dict(details or {})
        self.suggestion = suggestion


class InvalidField(ForgeError):
    """A field of a request or a spec is unknown, mistyped or out of bounds."""

    code = "INVALID_FIELD"
    status = 400


class InvalidPath(ForgeError):
    """A path that leaves the workspace or cannot name a file."""

    code = "INVALID_PATH"
    status = 403


class PathNotFound(ForgeError):
    """A file or folder of the workspace that is not there."""

    code = "PATH_NOT_FOUND"
    status = 404


class InvalidDataset(ForgeError):
    """A dataset with rows or documents that cannot be trained on; `details["problems"]` lists them."""

    code = "INVALID_DATASET"
    status = 400


class DatasetNotFound(ForgeError):
    """No dataset of that name in the workspace."""

    code = "DATASET_NOT_FOUND"
    status = 404


class PresetNotFound(ForgeError):
    """No preset under that name."""

    code = "PRESET_NOT_FOUND"
    status = 404


class ChatNotFound(ForgeError):
    """No chat with that id."""

    code = "CHAT_NOT_FOUND"
    status = 404


class DatasetConflict(ForgeError):
    """A dataset or a file of that name is there already, or a run needs the dataset."""

    code = "DATASET_CONFLICT"
    status = 409


class ModelNotFound(ForgeError):
    """No model under that name, neither in the workspace nor in the local Hub cache."""

    code = "MODEL_NOT_FOUND"
    status = 404


class InvalidModel(ForgeError):
    """A model folder that is incomplete, corrupt or of an unknown architecture."""

    code = "INVALID_MODEL"
    status = 422


class UntrustedModelCode(ForgeError):
    """A model that asks for code of its own to be executed (`model_file`, `auto_map`)."""

    code = "UNTRUSTED_MODEL_CODE"
    status = 422


class UnsupportedExport(ForgeError):
    """A model or an adapter that the wanted format has no form for."""

    code = "UNSUPPORTED_EXPORT"
    status = 422


class InvalidAdapter(ForgeError):
    """Adapter weights that are corrupt, not finite, or do not fit the base model."""

    code = "INVALID_ADAPTER"
    status = 422


class RunNotFound(ForgeError):
    """No run with that id, number or folder."""

    code = "RUN_NOT_FOUND"
    status = 404


class CheckpointNotFound(ForgeError):
    """The run has no usable checkpoint at that iteration."""

    code = "CHECKPOINT_NOT_FOUND"
    status = 404


class RunConflict(ForgeError):
    """The run, or another one, is in a state that forbids what was asked."""

    code = "RUN_CONFLICT"
    status = 409


class ResumeMismatch(ForgeError):
    """The saved state does not belong to this base model, corpus or spec."""

    code = "RESUME_MISMATCH"
    status = 422


class Diverged(ForgeError):
    """A loss or a weight is not finite."""

    code = "DIVERGED"
    status = 500


class OutOfMemory(ForgeError):
    """The machine has not enough memory for what was asked."""

    code = "OUT_OF_MEMORY"
    status = 507


class GpuInterrupted(ForgeError):
    """The system ended what the GPU computed, most often to keep the screen alive."""

    code = "GPU_INTERRUPTED"
    status = 503


class NoTemporaryFolder(ForgeError):
    """The folder for temporary files, in which MLX compiles on a CPU, cannot be used for that."""

    code = "NO_TEMPORARY_FOLDER"
    status = 507


class HostLost(ForgeError):
    """A machine that shares a run's work cannot be reached, or went away."""

    code = "HOST_LOST"
    status = 503


class HostUnfit(ForgeError):
    """A machine that should share a run's work has other versions or another base model, or none."""

    code = "HOST_UNFIT"
    status = 409


class ModelNotLoaded(ForgeError):
    """Nothing is resident that could answer."""

    code = "MODEL_NOT_LOADED"
    status = 409


class ModelBusy(ForgeError):
    """More requests wait for the model than it takes."""

    code = "MODEL_BUSY"
    status = 503


class TemplateTimeout(ForgeError):
    """A chat template that does not come to an end."""

    code = "TEMPLATE_TIMEOUT"
    status = 504


class HubUnreachable(ForgeError):
    """The Hub does not answer, or its connection broke."""

    code = "HUB_UNREACHABLE"
    status = 503


class NoHubToken(ForgeError):
    """Something is to be written on the Hub, and there is no token to do it with."""

    code = "NO_HUB_TOKEN"
    status = 400


class HubTokenRefused(ForgeError):
    """The Hub does not know the token, or not any more."""

    code = "HUB_TOKEN_REFUSED"
    status = 403


class HubForbidden(ForgeError):
    """The token's owner may not do this on the Hub."""

    code = "HUB_FORBIDDEN"
    status = 403


class HubNameTaken(ForgeError):
    """The Hub has something under that name which was not to be touched."""

    code = "HUB_NAME_TAKEN"
    status = 409


class HubRefused(ForgeError):
    """The Hub does not take what was sent."""

    code = "HUB_REFUSED"
    status = 422


class MissingExtra(ForgeError):
    """Packages that are asked for by name when ForgeLLM is installed, and were not."""

    code = "MISSING_EXTRA"
    status = 501


class DiskFull(ForgeError):
    """A file could not be written because the disk or the quota is full."""

    code = "DISK_FULL"
    status = 507


class ReadOnly(ForgeError):
    """A folder that must be written to cannot be."""

    code = "READ_ONLY"
    status = 422


class NoLocks(ForgeError):
    """The disk that a folder is on has no locks."""

    code = "NO_LOCKS"
    status = 422


def revived(values: Mapping[str, object]) -> ForgeError:
    """The error that `code`, `error`, `details` and `suggestion` of a failed run describe."""
    kinds = {kind.code: kind for kind in ForgeError.__subclasses__()}
    details = values.get("details")
    return kinds.get(str(values.get("code")), ForgeError)(
        str(values.get("error")),
        details=details if isinstance(details, Mapping) else None,
        suggestion=str(values.get("suggestion") or ""),
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is close."""
    folded = {other.casefold(): other for other in known}
    matches = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None
