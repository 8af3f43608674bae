"""Keeping the workspace informed: where its model server is, and what is to be loaded again after a crash."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from forgellm.domain.chat import ModelStatus, Target
from forgellm.domain.errors import ForgeError
from forgellm.storage.files import HeldLock
from forgellm.storage.model_server import Record, forget_record, read_record, server_lock, write_record
from forgellm.storage.workspace import Workspace

_LOOK_SECONDS = 0.25

logger = logging.getLogger(__name__)


class ModelServerRunning(ForgeError):
    """A workspace has one model server, so that everyone finds the same."""

    code = "MODEL_SERVER_RUNNING"


class Keeper:
    """Holds the lock of the workspace's model server until `close`. `before` is what was resident when an
    earlier one was cut off, None where that ended as it was told to.
    """

    def __init__(self, workspace: Workspace, url: str) -> None:
        """Raises ModelServerRunning."""
        workspace.private.mkdir(exist_ok=True)
        lock = HeldLock.acquire(server_lock(workspace))
        record = read_record(workspace)
        if lock is None:
            raise ModelServerRunning(
                f"this workspace has a model server already, at {record.url if record else 'another port'}",
                suggestion="Use that one, or end it, or choose another --workspace.",
            )
        self._lock = lock
        self._workspace = workspace
        self._url = url
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.before: Target | None = record.target if record else None
        self._write(None)

    def follow(self, status: Callable[[], ModelStatus]) -> None:
        """Write down what is resident whenever that changes. What is being loaded may be what crashes."""
        self._thread = threading.Thread(target=self._look, args=(status,), name="keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The server ends as it was told to."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        forget_record(self._workspace)
        self._lock.release()

    def _look(self, status: Callable[[], ModelStatus]) -> None:
        written: Target | None = None
        while not self._over.wait(_LOOK_SECONDS):
            found = status()
            target = found.target if found.loaded else None
            if target != written:
                written = target
                try:
                    self._write(target)
                except ForgeError as error:
                    logger.warning("%s", error.message)

    def _write(self, target: Target | None) -> None:
        write_record(self._workspace, Record(self._url, target))
