"""Keeping servers running as child processes: readiness, crashes, restarts, and no orphan at the end.

Each child holds the reading end of a pipe that only this process can write to, its lifeline: it ends within
a second when this process does, even by SIGKILL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from types import TracebackType
from urllib.parse import urlsplit

from forgellm.cli.lifetime import SECONDS_UNNOTICED
from forgellm.domain.errors import ForgeError

_SECONDS_BEFORE_RESTART = (0.1, 0.5, 2.0)
# Crashes that lie further back are not the same trouble.
_QUICK_SUCCESSION = 60.0
_SECONDS_TO_END = 0.9


class ServerFailed(ForgeError):
    """A server that cannot be kept running."""

    code = "SERVER_FAILED"


@dataclass(frozen=True)
class Service:
    """A server as a `forgellm` command with `arguments`; its `port` is added, 0 picks a free one. The others
    go on without one that is not `essential`.
    """

    name: str
    arguments: tuple[str, ...]
    port: int
    environment: Mapping[str, str]
    essential: bool = True


@dataclass(frozen=True)
class Crash:
    """A service that has ended without being told to. `code` is its exit code, a signal is negative. `times`
    within a minute; `given_up` when it is not started again.
    """

    service: Service
    code: int
    times: int
    given_up: bool


class Child:
    """One process of a service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._ready, tell = os.pipe()
        watched, self._lifeline = os.pipe()
        options = ["--port", str(service.port), "--ready-fd", str(tell), "--lifeline-fd", str(watched)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "forgellm", *service.arguments, *options],
                env=dict(service.environment),
                stdin=subprocess.DEVNULL,
                pass_fds=(tell, watched),
                start_new_session=True,
            )
        finally:
            os.close(tell)
            os.close(watched)

    def wait_until_ready(self) -> str | None:
        """Its address; None where it ended before it had one."""
        with open(self._ready, "rb") as messages:
            line = messages.readline()
        return str(json.loads(line)["url"]) if line else None

    def wait(self) -> int:
        """Its exit code, once it has ended; a signal is negative. To be called once."""
        code = self._process.wait()
        os.close(self._lifeline)
        return code

    def tell_to_end(self) -> None:
        self._process.terminate()

    def end_by(self, deadline: float) -> None:
        """Returns when the process is gone, which it is at `deadline`."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class _Kept:
    """A service with the process it has now. `crashes` are moments of the monotonic clock."""

    service: Service
    child: Child
    ready: bool = False
    crashes: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Ready:
    kept: _Kept
    url: str


@dataclass(frozen=True)
class _Ended:
    kept: _Kept
    code: int


@dataclass(frozen=True)
class _Due:
    kept: _Kept


class Supervisor:
    """Runs `services` while its block runs. `on_ready` is told each address, again after a restart, and
    `on_crash` each crash, before anything is done about it.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        on_ready: Callable[[Service, str], None],
        on_crash: Callable[[Crash], None],
    ) -> None:
        self._on_ready = on_ready
        self._on_crash = on_crash
        self._news: SimpleQueue[_Ready | _Ended | _Due] = SimpleQueue()
        self._kept: list[_Kept] = []
        for service in services:
            self._kept.append(_Kept(service, Child(service)))

    def __enter__(self) -> Supervisor:
        for kept in self._kept:
            self._watch(kept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + _SECONDS_TO_END
        for kept in self._kept:
            kept.child.tell_to_end()
        for kept in self._kept:
            kept.child.end_by(deadline)

    def run(self) -> int:
        """Restart what crashes; returns the exit code when an essential server ended by itself, or one could
        not begin.

        Raises ServerFailed for an essential one that keeps crashing.
        """
        while True:
            news = self._next()
            if isinstance(news, _Ready):
                self._note_ready(news.kept, news.url)
            elif isinstance(news, _Due):
                news.kept.child = Child(news.kept.service)
                self._watch(news.kept)
            else:
                code = self._after_end(news.kept, news.code)
                if code is not None:
                    return code

    def _next(self) -> _Ready | _Ended | _Due:
        while True:
            with suppress(Empty):
                return self._news.get(timeout=SECONDS_UNNOTICED)

    def _note_ready(self, kept: _Kept, url: str) -> None:
        kept.ready = True
        # Whoever is connected tries the same address again after a restart.
        kept.service = replace(kept.service, port=urlsplit(url).port or kept.service.port)
        self._on_ready(kept.service, url)

    def _after_end(self, kept: _Kept, code: int) -> int | None:
        """The code to end with, or None where everything goes on."""
        if code == 0:
            # Someone else has told it to end.
            return code if kept.service.essential else None
        if code > 0 and not kept.ready:
            # It has said itself why it cannot begin.
            return code
        crash = self._crashed(kept, code)
        self._on_crash(crash)
        if not crash.given_up:
            self._start_again(kept, after=_SECONDS_BEFORE_RESTART[crash.times - 1])
        elif kept.service.essential:
            raise _failed(crash, ready=kept.ready)
        return None

    def _crashed(self, kept: _Kept, code: int) -> Crash:
        now = time.monotonic()
        kept.crashes = [then for then in kept.crashes if now - then < _QUICK_SUCCESSION] + [now]
        times = len(kept.crashes)
        given_up = not kept.ready or times > len(_SECONDS_BEFORE_RESTART)
        return Crash(kept.service, code, times, given_up)

    def _start_again(self, kept: _Kept, *, after: float) -> None:
        timer = threading.Timer(after, self._news.put, (_Due(kept),))
        timer.daemon = True
        timer.start()

    def _watch(self, kept: _Kept) -> None:
        child = kept.child

        def report() -> None:
            url = child.wait_until_ready()
            if url is not None:
                self._news.put(_Ready(kept, url))
            self._news.put(_Ended(kept, child.wait()))

        threading.Thread(target=report, name=f"watch {kept.service.name}", daemon=True).start()


def _failed(crash: Crash, *, ready: bool) -> ServerFailed:
    times = f"{crash.times} times within a minute" if ready else "before it was ready"
    how = f"signal {-crash.code}" if crash.code < 0 else f"exit code {crash.code}"
    return ServerFailed(
        f"{crash.service.name} ended {times}, at last with {how}",
        details={"server": crash.service.name, "exit_code": crash.code},
        suggestion="What it wrote above says why. Runs go on without it; `forgellm runs` lists them.",
    )
