"""Whether a run lives, how it died, what it was told: its lock, crash report and control file.

The state is never stored: it follows from these and from the events. No process is started or ended here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from forgellm.domain.device_failures import WAY_OUT_OF_A_RUN, Kind, kind_of_text
from forgellm.domain.errors import ForgeError, OutOfMemory
from forgellm.domain.runs import RunState, state_of
from forgellm.storage.events import last_lifecycle_event
from forgellm.storage.files import PARTIAL, is_held, own_file, write_bytes

Command = Literal["run", "pause", "stop"]

CRASH_REPORT = "crash.txt"
_CONTROL = "control"
_LOG = "worker.log"

# What faulthandler writes at the top of its report, in C, for the signals that it handles.
_FAULTS = {
    "Segmentation fault": signal.SIGSEGV,
    "Aborted": signal.SIGABRT,
    "Bus error": signal.SIGBUS,
    "Illegal instruction": signal.SIGILL,
    "Floating-point exception": signal.SIGFPE,
}
_MEMORY_FAULTS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)

# How the runtimes of C++ on a Mac and on Linux begin their line about the exception that ends a process.
_UNCAUGHT = ("libc++abi: terminating due to uncaught exception of type ", "  what():  ")
_LAST_WORDS_BYTES = 1 << 12

_FROM = "worker.log from byte "


def lock_path(folder: Path) -> Path:
    """The file whose lock means that the run's worker lives; its text, a pid, is for people."""
    return folder / "lock"


def is_alive(folder: Path) -> bool:
    """Whether the run has a worker."""
    return is_held(lock_path(folder))


def state(folder: Path) -> RunState:
    """Where the run stands, from its last lifecycle event, its lock and its crash report."""
    found = _derive(folder, alive=is_alive(folder))
    # A worker may have begun or ended between the look at the lock and the look at the events.
    unsure = found in (RunState.INTERRUPTED, RunState.FAILED)
    return _derive(folder, alive=is_alive(folder)) if unsure else found


def waits(folder: Path) -> bool:
    """Whether nobody has begun the run: `state` is pending then. Its events alone tell that."""
    return last_lifecycle_event(folder) is None


def resting_state(folder: Path) -> RunState:
    """The state of a run that has no worker; for one who holds its lock, which would look like a worker."""
    return _derive(folder, alive=False)


def fault_signal(folder: Path) -> int | None:
    """The signal that a dying worker reported, or None. SIGKILL leaves no report."""
    try:
        report = (folder / CRASH_REPORT).read_text(errors="replace")
    except FileNotFoundError:
        return None
    return next((int(number) for text, number in _FAULTS.items() if text in report), None)


def failure(folder: Path) -> Mapping[str, object] | None:
    """Why a failed run failed: `code`, `error`, `suggestion` and, where the worker could say, `details`."""
    event = last_lifecycle_event(folder)
    if event is not None and event["type"] == "failed":
        return {key: value for key, value in event.items() if key not in ("seq", "time", "type")}
    number = fault_signal(folder)
    if number is None or state(folder) is not RunState.FAILED:
        return None
    said = _uncaught(folder) if number == signal.SIGABRT else None
    if said is not None:
        return _crash(f" (signal {number}): {said}", kind_of_text(said))
    if number in _MEMORY_FAULTS:
        return _crash(f", most likely out of memory (signal {number})", OutOfMemory)
    return _crash(f" (signal {number})", None)


def _crash(how: str, kind: Kind | None) -> Mapping[str, object]:
    elsewhere = f"{CRASH_REPORT} and {_LOG} in the run's folder show where."
    return {
        "code": (kind or ForgeError).code,
        "error": f"the worker crashed{how}",
        "suggestion": elsewhere if kind is None else WAY_OUT_OF_A_RUN[kind],
    }


def _uncaught(folder: Path) -> str | None:
    """The exception of native code that ended the worker, by the end of its log; None without one."""
    try:
        # What an earlier worker of the run wrote is no word of this one.
        begun = int(
            (folder / CRASH_REPORT).read_text(errors="replace").partition("\n")[0].removeprefix(_FROM)
        )
        with open(folder / _LOG, "rb", opener=own_file) as log:
            log.seek(max(begun, log.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except (OSError, ValueError):
        return None
    found = [line.split(sign, 1)[1].strip() for line in lines for sign in _UNCAUGHT if sign in line]
    return found[-1] if found else None


def crash_report(log_bytes: int) -> bytes:
    """How the report of a worker begins whose log had so many bytes already."""
    return f"{_FROM}{log_bytes}\n".encode()


def write_control(folder: Path, command: Command) -> None:
    """Tell the run's worker what to do; it looks between two steps. Raises DiskFull, ReadOnly."""
    write_bytes(folder / _CONTROL, f"{command}\n".encode())


def read_control(folder: Path) -> Command:
    """What the worker was last told; `run` where nothing was."""
    try:
        text = (folder / _CONTROL).read_text(errors="replace").strip()
    except FileNotFoundError:
        return "run"
    return cast("Command", text) if text in ("pause", "stop") else "run"


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed worker left: half-written files and its crash report.

    The caller holds the run's lock.
    """
    (folder / CRASH_REPORT).unlink(missing_ok=True)
    for path in folder.rglob(f"{PARTIAL}*"):
        # The control file is written by others, perhaps at this moment.
        if not path.name.endswith(f"-{_CONTROL}"):
            path.unlink(missing_ok=True)


def _derive(folder: Path, *, alive: bool) -> RunState:
    event = last_lifecycle_event(folder)
    crashed = not alive and fault_signal(folder) is not None
    return state_of([event] if event else [], alive=alive, crashed=crashed)
