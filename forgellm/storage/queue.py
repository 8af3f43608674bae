"""In which order runs that wait are to start: `queue.json`, written when somebody moves one.

It holds ids, the next one first. Whatever it does not name comes after them by number, so that a run is
queued without writing it; ids of runs that wait no longer mean nothing. A file that cannot be read is no
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from forgellm.domain.runs import Run
from forgellm.storage.files import exclusive, read_json, storage_errors, write_json
from forgellm.storage.workspace import Workspace


def in_order(workspace: Workspace, runs: Sequence[Run]) -> list[Run]:
    """The runs, the one that is to start first in front."""
    places = {key: place for place, key in enumerate(_read(workspace))}
    return sorted(runs, key=lambda run: (places.get(run.id, len(places)), run.number))


@contextmanager
def moving(workspace: Workspace) -> Iterator[None]:
    """Two who move runs at once would undo each other's order. Raises DiskFull, ReadOnly."""
    with storage_errors(workspace.private):
        workspace.private.mkdir(exist_ok=True)
    with exclusive(workspace.private / "queue.lock"):
        yield


def write_order(workspace: Workspace, runs: Sequence[Run]) -> None:
    """Let `runs`, which are all that wait, start in this order. Raises DiskFull, ReadOnly."""
    write_json(workspace.private / "queue.json", [run.id for run in runs])


def _read(workspace: Workspace) -> list[str]:
    try:
        found = read_json(workspace.private / "queue.json")
    except (OSError, ValueError, RecursionError):
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []
