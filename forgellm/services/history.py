"""When a run began, was heard of last and ended, and in which of its passes over the data it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import Event, Run
from forgellm.services.parts import Parts
from forgellm.services.progress import Progress, timed
from forgellm.storage.events import events_after, events_backwards
from forgellm.storage.runs import run_folder

# The phases before the first iteration are among so many events.
_HEAD = 1000


@dataclass(frozen=True)
class History:
    """`epoch` counts from 1 and is 0 before the first iteration; None where the batches of an epoch are not
    counted yet. `epochs` is how many there are to be, `ended` None while the run is not over.
    """

    started: datetime | None
    updated: datetime
    ended: datetime | None
    epoch: int | None
    epochs: int | None


def history(parts: Parts, run: Run, progress: Progress) -> History:
    """What the run's first and last events say; nothing where they cannot be read."""
    folder = run_folder(parts.workspace, run)
    try:
        head = list(_head(islice(events_after(folder, 0), _HEAD)))
        last = next(events_backwards(folder), None)
    except ForgeError:
        return History(None, run.created, None, None, None)
    over = progress.end is not None and progress.end.get("type") != "paused"
    batches = next((n for e in reversed(head) if isinstance(n := e.get("batches_per_epoch"), int)), None)
    return History(
        started=next((_time(event, run) for event in head if event.get("type") == "started"), None),
        updated=run.created if last is None else _time(last, run),
        ended=_time(progress.end, run) if over and progress.end is not None else None,
        epoch=_epoch(run, progress, batches),
        epochs=_epochs(run, progress, batches),
    )


def _head(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        if timed(event) is not None:
            return
        yield event


def _epoch(run: Run, progress: Progress, batches: int | None) -> int | None:
    if progress.iteration == 0:
        return 0
    if not batches:
        return None
    begun = math.ceil(progress.iteration * _accumulated(run) / batches)
    return min(begun, _epochs(run, progress, batches) or begun)


def _epochs(run: Run, progress: Progress, batches: int | None) -> int | None:
    asked = run.spec.get("epochs")
    if isinstance(asked, (int, float)):
        return math.ceil(asked)
    if not batches or not progress.total_iterations:
        return None
    return math.ceil(progress.total_iterations * _accumulated(run) / batches)


def _accumulated(run: Run) -> int:
    count = run.spec.get("grad_accumulation_steps")
    return count if isinstance(count, int) else 1


def _time(event: Event, run: Run) -> datetime:
    try:
        return datetime.fromisoformat(str(event.get("time")))
    except ValueError:
        return run.created
