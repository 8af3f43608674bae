"""What the model server of a workspace leaves on the disk: where it is, what is resident, how it crashed.

A held lock says that it runs, as with runs: it is free the moment the process is gone, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from forgellm.domain.chat import Target
from forgellm.storage.files import is_held, read_json, storage_errors, write_json
from forgellm.storage.workspace import Workspace


@dataclass(frozen=True)
class Record:
    """`url` has no slash at its end; `target` is what was resident when it last changed."""

    url: str
    target: Target | None


@dataclass(frozen=True)
class Crash:
    """How the model server ended without being told to: by a signal, or with an exit code. `given_up`: it was
    not started again.
    """

    time: datetime
    signal: int | None
    exit_code: int | None
    given_up: bool = False


def server_lock(workspace: Workspace) -> Path:
    """Held by the model server of this workspace."""
    return workspace.private / "model_server.lock"


def running_at(workspace: Workspace) -> str | None:
    """The address of the model server, None where none runs."""
    if not is_held(server_lock(workspace)):
        return None
    record = read_record(workspace)
    return None if record is None else record.url


def write_record(workspace: Workspace, record: Record) -> None:
    """Replace the record. Raises DiskFull, ReadOnly."""
    resident = None if record.target is None else asdict(record.target)
    _write(workspace, _record_path(workspace), {"url": record.url, "resident": resident})


def read_record(workspace: Workspace) -> Record | None:
    """The record as it was written last, None where it is missing or damaged."""
    try:
        values = cast("Mapping[str, object]", read_json(_record_path(workspace)))
        return Record(str(values["url"]), _target(values["resident"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_record(workspace: Workspace) -> None:
    """The server ends as it was told to: nothing is to be loaded again."""
    _record_path(workspace).unlink(missing_ok=True)


def write_crash(workspace: Workspace, crash: Crash) -> None:
    """Replace what is known of the last crash. Raises DiskFull, ReadOnly."""
    values = {
        "time": crash.time.isoformat(),
        "signal": crash.signal,
        "exit_code": crash.exit_code,
        "given_up": crash.given_up,
    }
    _write(workspace, _crash_path(workspace), values)


def read_crash(workspace: Workspace) -> Crash | None:
    """The last crash, None where there was none."""
    try:
        values = cast("Mapping[str, object]", read_json(_crash_path(workspace)))
        time = datetime.fromisoformat(str(values["time"]))
        return Crash(
            time, _number(values["signal"]), _number(values["exit_code"]), values["given_up"] is True
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_crash(workspace: Workspace) -> None:
    """A new beginning."""
    _crash_path(workspace).unlink(missing_ok=True)


def _record_path(workspace: Workspace) -> Path:
    return workspace.private / "resident.json"


def _crash_path(workspace: Workspace) -> Path:
    return workspace.private / "model_server_crash.json"


def _write(workspace: Workspace, path: Path, values: Mapping[str, object]) -> None:
    with storage_errors(path):
        workspace.private.mkdir(exist_ok=True)
    write_json(path, values)


def _target(value: object) -> Target | None:
    if value is None:
        return None
    values = cast("Mapping[str, object]", value)
    adapter = values["adapter_path"]
    return Target(str(values["model_name"]), None if adapter is None else str(adapter))


def _number(value: object) -> int | None:
    return value if type(value) is int else None
