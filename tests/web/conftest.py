"""A server inside the test's own process, and runs whose events the test writes itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import socketio

from forgellm.api.access import access
from forgellm.domain.runs import Run, RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.forge import Forge
from forgellm.settings import Settings
from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import create_run, run_folder
from forgellm.storage.workspace import Workspace
from forgellm.web.app import create_app
from forgellm.web.serving import listen, serving
from tests.jobs.sample_worker import end_all


@pytest.fixture
def forge(workspace: Workspace, hub_cache: Path) -> Iterator[Forge]:
    """Over the test workspace; every run it leaves is stopped."""
    yield Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))
    end_all(workspace)


@pytest.fixture
def url(forge: Forge) -> Iterator[str]:
    """Where the whole application is served."""
    listener = listen("127.0.0.1", 0)
    app = create_app(forge, access("127.0.0.1", listener.getsockname()[1], allow=(), token=None))
    with serving(listener, app.wsgi) as server:
        app.start()
        yield server.url
        app.stop()


SPEC = {
    "model_name": "models/base/tiny",
    "training_type": "cpt",
    "dataset": "domain",
    "max_iterations": 100,
}


def pending(forge: Forge) -> Run:
    """A training run that nobody has started yet."""
    return create_run(
        forge.workspace,
        RunKind.CPT,
        spec=to_dict(parse_spec(SPEC)),
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )


class Script:
    """A run that the test plays itself: it holds the lock and writes the events, as a worker does."""

    def __init__(self, forge: Forge) -> None:
        forge.workspace.private.mkdir(exist_ok=True)
        # Otherwise the server would start a worker for a run that waits.
        self.training = HeldLock.acquire(forge.workspace.training_lock)
        self.run: Run = pending(forge)
        self.folder = run_folder(forge.workspace, self.run)
        self.lock = HeldLock.acquire(lock_path(self.folder))
        self.log = EventLog(self.folder, forge.clock)
        self.log.append("started", resume=False)
        self.log.append("phase", phase="training", total_iterations=100)

    def train(self, first: int, last: int) -> None:
        """The iterations from `first` up to and with `last`."""
        for iteration in range(first, last + 1):
            self.log.append(
                "train",
                iteration=iteration,
                training_loss=5 / iteration,
                learning_rate=1e-4,
                tokens_per_second=100.0,
                memory_usage_gb=0.5,
                iteration_seconds=0.5,
            )

    def end(self, type: str, **values: object) -> None:
        """The last event, and the end of the process."""
        self.log.append(type, **values)
        self.die()

    def die(self) -> None:
        """The end of the process, whatever was written."""
        if self.lock is not None:
            self.lock.release()
            self.training.release()
            self.lock = None


@pytest.fixture
def script(forge: Forge) -> Iterator[Script]:
    playing = Script(forge)
    yield playing
    playing.die()


class Watcher:
    """The official Python client: it keeps every message, and subscribes again when it comes back."""

    def __init__(self, url: str, run: Run | None, *, after: int = 0) -> None:
        self.messages: list[tuple[str, dict]] = []
        self.answers: list[dict] = []
        self.seq = after
        self._news = threading.Condition()
        self._wish = {} if run is None else {"training_id": run.id}
        self.client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)
        self.client.on("connect", self._subscribe)
        for name in ("training_update", "training_complete", "training_error"):
            self.client.on(name, self._keep(name))
        self.client.connect(url)

    def _subscribe(self) -> None:
        self.client.emit("subscribe_training", {**self._wish, "after": self.seq}, callback=self._answered)

    def _answered(self, answer: dict) -> None:
        with self._news:
            self.answers.append(answer)
            self._news.notify_all()

    def _keep(self, name: str) -> Callable[[dict], None]:
        def keep(message: dict) -> None:
            with self._news:
                self.messages.append((name, message))
                self.seq = max(self.seq, message["seq"])
                self._news.notify_all()

        return keep

    def wait(self, holds: Callable[[Watcher], bool], *, seconds: float = 30) -> None:
        """Returns once the messages so far fulfil `holds`."""
        with self._news:
            assert self._news.wait_for(lambda: holds(self), timeout=seconds), self.messages[-3:]

    def named(self, name: str) -> list[dict]:
        return [message for known, message in self.messages if known == name]

    @property
    def seqs(self) -> list[int]:
        """The numbers of all events, in the order they came."""
        return [event["seq"] for update in self.named("training_update") for event in update["events"]]

    def close(self) -> None:
        """Leave, and do not come back: one that does draws random numbers beside the tests that follow."""
        with suppress(socketio.exceptions.SocketIOError):
            self.client.shutdown()


@pytest.fixture
def watch(url: str):
    """Connects a client that watches a run."""
    watchers = []

    def connect(run: Run | None, **options) -> Watcher:
        watchers.append(Watcher(url, run, **options))
        return watchers[-1]

    yield connect
    for watcher in watchers:
        watcher.close()
