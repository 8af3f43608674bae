"""`python -m forgellm.services.pull_process WORKSPACE PULL HUB_CACHE LOCK_FD PARENT`: download one model.

It ends when it is told to cancel, or when the server that started it has ended, in the middle of whatever it
waits for: the Hub may be silent for long. What has come stays in the cache.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from forgellm.domain.errors import ForgeError, PathNotFound
from forgellm.jobs.job import failure_values, utc_now
from forgellm.jobs.wakefulness import kept_awake
from forgellm.services.downloads import pull
from forgellm.services.inspection import Inspections
from forgellm.services.parts import Parts
from forgellm.storage.files import HeldLock
from forgellm.storage.pulls import Pull, is_cancelled, pull_folder, read_pull, write_pull
from forgellm.storage.workspace import Workspace

_LOOK_SECONDS = 0.1
_TELL_EVERY = 5
"""Looks."""
_SPEED_SECONDS = 15.0


class Record:
    """What is known of the download, written for whoever looks. Any thread may change it; the first state
    other than "running" is the last one.
    """

    def __init__(self, folder: Path, pull: Pull) -> None:
        self._folder = folder
        self._pull = pull
        self._turn = threading.Lock()
        self._written = pull
        self._before: deque[tuple[float, int]] = deque()

    def progress(self, done: int, total: int) -> None:
        """So many bytes of all are here."""
        now = time.monotonic()
        self._before.append((now, done))
        while now - self._before[0][0] > _SPEED_SECONDS and len(self._before) > 2:
            self._before.popleft()
        seconds = now - self._before[0][0]
        speed = (done - self._before[0][1]) / seconds if seconds >= 1 else None
        values = {"done_bytes": done, "total_bytes": total, "bytes_per_second": speed}
        with self._turn:
            self._pull = replace(self._pull, **values)  # type: ignore[arg-type]

    def tell(self) -> None:
        """Write what has come since the last time."""
        with self._turn:
            if self._pull != self._written:
                self._write()

    def end(self, **values: object) -> None:
        """The last word: a `state`, and a `failure` where it is one."""
        with self._turn:
            if self._pull.state == "running":
                self._pull = replace(self._pull, bytes_per_second=None, **values)  # type: ignore[arg-type]
                self._write()

    def _write(self) -> None:
        self._pull = replace(self._pull, changed=utc_now().isoformat())
        write_pull(self._folder, self._pull)
        self._written = self._pull


def main(
    root: str,
    identity: str,
    hub_cache: str,
    lock: str,
    parent: str,
    *,
    awake: Callable[[], AbstractContextManager[None]] = kept_awake,
) -> None:
    """Download what the record names, `awake` meanwhile, to the end or until `_watch` ends this process."""
    held = HeldLock(int(lock))
    workspace, cache = Workspace.open(Path(root)), Path(hub_cache)
    inspections = Inspections(workspace, cache, {})
    parts = Parts(workspace, cache, environment={}, clock=utc_now, inspections=inspections)
    folder = pull_folder(parts.workspace, identity)
    begun = None if folder is None else read_pull(folder)
    if folder is None or begun is None:
        raise PathNotFound(f"there is no download {identity!r:.80}")
    record = Record(folder, begun)
    threading.Thread(target=_watch, args=(folder, record, int(parent)), daemon=True).start()
    with awake():
        _pull(parts, record, begun.name)
    held.release()


def _pull(parts: Parts, record: Record, name: str) -> None:
    try:
        pull(parts, name, on_progress=record.progress)
        record.end(state="completed")
    except ForgeError as error:
        record.end(state="failed", failure=failure_values(error))


def _watch(folder: Path, record: Record, parent: int) -> None:
    pause = threading.Event()
    for look in count():
        pause.wait(_LOOK_SECONDS)
        if look % _TELL_EVERY == 0:
            # A disk that is full ends the download, not the watch over it.
            with suppress(ForgeError):
                record.tell()
        if is_cancelled(folder):
            record.end(state="cancelled")
        elif os.getppid() == parent and folder.is_dir():
            continue
        # Nothing but this ends a request that waits for its answer.
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
