"""Live events: one thread follows the runs that someone watches, and tells each watcher what is new to him.

A watcher is a cursor into the run's events.jsonl: a newcomer's replay, live events, and what a client missed
while it was away are the same thing, in order, without gap and without duplicate. A client that does not
keep up is fed no further than a few messages ahead; it goes on where it was once it reads again.
"""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forgellm.domain.errors import ForgeError
from forgellm.domain.runs import Event, Run, RunState
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import runs
from forgellm.services.progress import Progress, fold
from forgellm.storage.events import events_backwards, events_path
from forgellm.storage.liveness import state
from forgellm.storage.runs import run_folder
from forgellm.web import messages

UPDATE_SECONDS = 0.2
"""Between two updates of a run to one client, at most five a second; a replay goes as fast as it is taken."""

_TICK_SECONDS = 0.05

BATCH = 2000
"""Events in one update; more than a run makes in a tick, so only a replay takes several."""

BACKLOG = 4
"""Messages that may wait for a client before it is fed no more."""

_QUEUE_SECONDS = 5.0
_RETRY_SECONDS = 1.0
# Of the machine and not of the run: too many open files, no memory, a disk or a share that is away.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ESTALE})
_OVER = frozenset(
    {
        RunState.COMPLETED,
        RunState.EARLY_STOPPED,
        RunState.STOPPED,
        RunState.FAILED,
        RunState.INTERRUPTED,
    }
)
_HAS_WORKER = frozenset({RunState.RUNNING, RunState.STOPPING})
_log = logging.getLogger(__name__)


class Post(Protocol):
    """Where messages go. A client is known by its Socket.IO session id."""

    def send(self, client: str, name: str, message: Mapping[str, object]) -> None:
        """Queue a message for the client; one that has gone is passed over."""

    def waiting(self, client: str) -> int | None:
        """How many messages the client has not taken yet; None when it has gone."""


@dataclass
class Watch:
    """One client's place in one run. `told` is where it was told that the run is over; `due` and `look` are
    when it may be sent something next, and when its run is examined though no event was written.
    """

    client: str
    run: Run
    cursor: int
    progress: Progress
    told: tuple[RunState, int] | None = None
    seen_bytes: int = -1
    due: float = 0.0
    look: float = 0.0


class Live:
    """Who watches what, and the thread that feeds them."""

    def __init__(self, forge: Forge, post: Post, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._forge = forge
        self._post = post
        self._monotonic = monotonic
        self._watches: dict[tuple[str, str], Watch] = {}
        self._lock = threading.Lock()
        self._queue_problem: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self, client: str, run: Run, *, after: int) -> int:
        """Send the client every event of the run above `after`: those there are, then new ones.

        Where the run has fewer, because a power cut or an old backup took some, those above its last one;
        returns where it begins.
        """
        folder = run_folder(self._forge.workspace, run)
        cursor = min(after, next(map(messages.seq, events_backwards(folder)), 0)) if after else 0
        progress = runs.progress_at(self._forge, run, seq=cursor)
        with self._lock:
            self._watches[client, run.id] = Watch(client, run, cursor, progress)
        return cursor

    def forget(self, client: str, key: str | None = None) -> None:
        """The client watches nothing more, or not the run of that id, number or folder."""
        with self._lock:
            for place, watch in list(self._watches.items()):
                if watch.client == client and (key is None or _is_called(watch.run, key)):
                    del self._watches[place]

    def _follow(self) -> None:
        queue_due, pause = 0.0, _TICK_SECONDS
        while not self._ending.wait(pause):
            now = self._monotonic()
            pause = 0.0 if self._tick(now) else _TICK_SECONDS
            if now >= queue_due:
                self._start_next()
                queue_due = now + _QUEUE_SECONDS

    def _tick(self, now: float) -> bool:
        """Feed whoever may be fed; whether somebody got no more than a part of what there is for him."""
        with self._lock:
            watches = [w for w in self._watches.values() if w.due <= now]
        batches, behind = _Batches(self._forge), False
        for watch in watches:
            try:
                behind |= self._attend(watch, batches, now=now)
            except Exception as error:
                # This thread serves the others as well, whatever one run or client has brought upon it.
                if isinstance(error, OSError) and error.errno in _PASSING:
                    watch.due = now + _RETRY_SECONDS
                else:
                    self._give_up(watch, error)
        return behind

    def _attend(self, watch: Watch, batches: _Batches, *, now: float) -> bool:
        waiting = self._post.waiting(watch.client)
        if waiting is None:
            # It left while its subscription was still being read.
            self.forget(watch.client)
        elif waiting < BACKLOG and self._has_news(watch, now):
            return self._feed(watch, batches, now=now)
        return False

    def _has_news(self, watch: Watch, now: float) -> bool:
        """Whether events were written, or it is time to see whether the worker still lives."""
        size = _size(run_folder(self._forge.workspace, watch.run))
        if size == watch.seen_bytes and now < watch.look:
            return False
        watch.seen_bytes, watch.look = size, now + UPDATE_SECONDS
        return True

    def _feed(self, watch: Watch, batches: _Batches, *, now: float) -> bool:
        """Send one message; whether there is more behind it."""
        before, events, after = batches.after(watch.run, watch.cursor)
        behind = len(events) == BATCH
        if events:
            watch.progress = fold(events, watch.progress)
            watch.cursor = messages.seq(events[-1])
            watch.due = now if behind else now + UPDATE_SECONDS
            # A batch that was full has more behind it, though nothing is written meanwhile.
            watch.seen_bytes = -1
            update = messages.update(watch.run, after, watch.progress, events=events)
            self._post.send(watch.client, "training_update", update)
        elif before in _OVER and watch.told != (before, watch.cursor):
            status = runs.status(self._forge, watch.run)
            # Otherwise it was resumed, or stopped, since: there are events to come first.
            if status.state is before:
                name, message = messages.ending(status, seq=watch.cursor)
                self._post.send(watch.client, name, message)
                watch.told = (before, watch.cursor)
        if not events and before not in _HAS_WORKER:
            # Nothing but another event changes it now.
            watch.look = math.inf
        return behind

    def _give_up(self, watch: Watch, error: Exception) -> None:
        _log.warning("run %s cannot be followed: %s", watch.run.id, error, exc_info=_unforeseen(error))
        self.forget(watch.client, watch.run.id)
        message = messages.unwatchable(watch.run.id, seq=watch.cursor)
        try:
            self._post.send(watch.client, "training_error", message)
        except Exception:
            # Sending may be the very thing that fails.
            _log.warning("client %s cannot be told of it", watch.client, exc_info=True)

    def _start_next(self) -> None:
        """A worker that was killed could not start the next run of the queue."""
        try:
            launcher.launch_next(self._forge.workspace, environment=self._forge.environment)
        except Exception as error:
            # Tried again for as long as it takes, and said once.
            if str(error) != self._queue_problem:
                problem = "the next run of the queue could not be started: %s"
                _log.warning(problem, error, exc_info=_unforeseen(error))
            self._queue_problem = str(error)
        else:
            self._queue_problem = None


def _is_called(run: Run, key: str) -> bool:
    """Whether a client that watches `run` may have named it so."""
    return key in (run.id, str(run.number), run.folder, Path(run.folder).name)


def _unforeseen(error: Exception) -> Exception | None:
    """What the log is to say more of than its message."""
    return None if isinstance(error, (ForgeError, OSError)) else error


def _size(folder: Path) -> int:
    """Bytes of the run's events; 0 before the first. Raises FileNotFoundError where the run is gone."""
    try:
        return events_path(folder).stat().st_size
    except FileNotFoundError:
        folder.stat()
        return 0


class _Batches:
    """What one tick reads, once for all clients at the same place."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        self._read: dict[tuple[str, int], tuple[RunState, list[Event], RunState]] = {}

    def after(self, run: Run, cursor: int) -> tuple[RunState, list[Event], RunState]:
        """(state before reading, events after `cursor`, state after reading).

        Where nothing is new although the state before was final, everything has been read.
        """
        key = (run.folder, cursor)
        if key not in self._read:
            folder = run_folder(self._forge.workspace, run)
            before = state(folder)
            events = runs.events(self._forge, run, after=cursor, limit=BATCH)
            self._read[key] = (before, events, state(folder) if events else before)
        return self._read[key]
