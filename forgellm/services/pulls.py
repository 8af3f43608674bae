"""Downloads that go on while nobody waits: each in a process of its own, cancelled and resumed by name.

The process ends with the server that started it. What has come stays, and the same wish goes on from there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack

from forgellm.domain.errors import ForgeError, RunConflict
from forgellm.services.hub_search import check_hub_id
from forgellm.services.parts import Parts
from forgellm.settings import importing_this
from forgellm.storage.files import HeldLock, storage_errors
from forgellm.storage.pulls import (
    Pull,
    ask_to_cancel,
    begin_anew,
    begun_files,
    forget_pull,
    list_pulls,
    pull_folder,
    pull_id,
    pull_lock,
    read_pull,
    write_pull,
)

COMMAND = (sys.executable, "-m", "forgellm.services.pull_process")
MOST = 4
"""Downloads at once."""

_LOOKS = 30


class PullNotFound(ForgeError):
    """No download of that id."""

    code = "PULL_NOT_FOUND"
    status = 404


def start(parts: Parts, name: str) -> Pull:
    """Begin to download a model, or go on where that was cut off; returns at once.

    Raises InvalidField, RunConflict while it is being downloaded or too many others are, DiskFull, ReadOnly.
    """
    check_hub_id(name)
    folder = pull_folder(parts.workspace, pull_id(name))
    assert folder is not None
    if sum(pull.state == "running" for pull in list_pulls(parts.workspace)) >= MOST:
        raise RunConflict(
            f"{MOST} models are being downloaded already",
            details={"limit": MOST},
            suggestion="Wait for one of them, or cancel it.",
        )
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = HeldLock.acquire(pull_lock(folder))
    if lock is None:
        raise RunConflict(
            f"{name} is being downloaded already",
            details={"model": name},
            suggestion="GET /api/models/pulls says how far it is.",
        )
    now = parts.clock().isoformat()
    pull = Pull(name, begun=now, changed=now)
    with ExitStack() as undo:
        undo.callback(lock.release)
        begin_anew(folder)
        write_pull(folder, pull)
        _spawn(parts, pull, lock)
        undo.pop_all()
    lock.hand_over()
    return pull


def cancel(parts: Parts, identity: str, *, wait: Callable[[], None]) -> Pull | None:
    """End a download that goes on, and return what became of it: it can be gone on with. One that is over is
    forgotten, with what has come in part: None. `wait` is called between two looks.

    Raises PullNotFound, DiskFull, ReadOnly, RunConflict where its process does not end.
    """
    folder = pull_folder(parts.workspace, identity)
    pull = None if folder is None else read_pull(folder)
    if folder is None or pull is None:
        raise PullNotFound(
            f"there is no download {identity!r:.80}",
            suggestion="GET /api/models/pulls lists them with their ids.",
        )
    if pull.state == "running":
        ask_to_cancel(folder)
        for _ in range(_LOOKS):
            now = read_pull(folder)
            if now is None or now.state != "running":
                return now
            wait()
        raise RunConflict(
            f"the download of {pull.name} has not ended yet", suggestion="Look again in a moment."
        )
    lock = HeldLock.acquire(pull_lock(folder))
    if lock is None:
        raise RunConflict(f"{pull.name} is being downloaded again", suggestion="Cancel that first.")
    try:
        for file in begun_files(parts.hub_cache, pull.name):
            file.unlink(missing_ok=True)
        forget_pull(folder)
    finally:
        lock.release()
    return None


def _spawn(parts: Parts, pull: Pull, lock: HeldLock) -> None:
    places = (parts.workspace.root, pull.id, parts.hub_cache, lock.descriptor, os.getpid())
    try:
        process = subprocess.Popen(
            [*COMMAND, *map(str, places)],
            start_new_session=True,
            pass_fds=[lock.descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=parts.workspace.root,
            env=importing_this(parts.environment),
        )
    except OSError as error:
        raise ForgeError(
            f"the download of {pull.name} could not be started: {error}",
            suggestion="Close some programs, or check the Python installation.",
        ) from error
    # A child nobody waits for stays in the process table until its parent ends.
    threading.Thread(target=process.wait, name=f"wait for {pull.id}", daemon=True).start()
