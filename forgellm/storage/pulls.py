"""Downloads as files: `.forgellm/pulls/ID/` with `pull.json`, `cancel`, and a lock held while one goes on.

How a model is downloaded is not decided here. The weights lie in the Hub's cache, not in these folders.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from forgellm.storage.files import is_held, read_json, storage_errors, write_bytes, write_json
from forgellm.storage.models import cache_folder
from forgellm.storage.workspace import Workspace, visible_folders

State = Literal["running", "completed", "failed", "cancelled", "interrupted"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_RECORD = "pull.json"
_CANCEL = "cancel"
PART = ".pulled"
"""How a weight file's name ends in the Hub's cache until all of it is there."""


@dataclass(frozen=True)
class Pull:
    """`begun` and `changed` are ISO 8601 with their zone; bytes are those of the weights, None while unknown.

    `failure` has `code`, `error` and `suggestion`. A pull whose process was ended is "interrupted".
    """

    name: str
    begun: str
    changed: str
    state: State = "running"
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    failure: Mapping[str, object] | None = None

    @property
    def id(self) -> str:
        return pull_id(self.name)


def pull_id(name: str) -> str:
    """The id of the pull of a model: there is one for each."""
    return name.replace("/", "--")


def pull_folder(workspace: Workspace, identity: str) -> Path | None:
    """The folder of the pull of that id; None for what cannot be one."""
    return _folder(workspace) / identity if _ID.fullmatch(identity) else None


def pull_lock(folder: Path) -> Path:
    """The file whose lock means that the download goes on."""
    return folder / "lock"


def list_pulls(workspace: Workspace) -> list[Pull]:
    """All of them, the newest first."""
    found = (read_pull(folder) for folder in visible_folders(workspace, _folder(workspace)))
    return sorted((pull for pull in found if pull is not None), key=lambda pull: pull.begun, reverse=True)


def read_pull(folder: Path) -> Pull | None:
    """The pull in `folder`, None where there is none that can be read."""
    alive = is_held(pull_lock(folder))
    try:
        values = cast("Mapping[str, object]", read_json(folder / _RECORD))
        pull = Pull(**values)  # type: ignore[arg-type]
        datetime.fromisoformat(pull.begun)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return replace(pull, state="interrupted") if pull.state == "running" and not alive else pull


def write_pull(folder: Path, pull: Pull) -> None:
    """Replace the record. Raises DiskFull, ReadOnly, PathNotFound."""
    write_json(folder / _RECORD, asdict(pull))


def ask_to_cancel(folder: Path) -> None:
    """Have the download end; what has come stays. Raises DiskFull, ReadOnly."""
    write_bytes(folder / _CANCEL, b"")


def is_cancelled(folder: Path) -> bool:
    return (folder / _CANCEL).exists()


def begin_anew(folder: Path) -> None:
    """Forget an earlier wish to cancel; the caller holds the lock. Raises DiskFull, ReadOnly."""
    with storage_errors(folder / _CANCEL):
        (folder / _CANCEL).unlink(missing_ok=True)


def forget_pull(folder: Path) -> None:
    """Delete what is known of a download that is over; the caller holds the lock."""
    shutil.rmtree(folder, ignore_errors=True)


def begun_files(hub_cache: Path, name: str) -> list[Path]:
    """The files of a model that earlier attempts have left unfinished."""
    return list((cache_folder(hub_cache, name) / "blobs").glob(f"*{PART}"))


def _folder(workspace: Workspace) -> Path:
    return workspace.private / "pulls"
