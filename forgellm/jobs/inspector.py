"""Asking a process of its own about a dataset: it reads files of any kind, tokenises, and can be killed.

What it answers is in `jobs.inspect`; nothing of that is imported here, so a server may hold this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from typing import Any

from forgellm.domain.errors import ForgeError, revived
from forgellm.settings import importing_this

COMMAND = (sys.executable, "-m", "forgellm.jobs.inspect")
OnProgress = Callable[[int, int], None]
"""Told (how much is done, of how much)."""

# Each may hold a file of rows and a tokenizer.
_AT_ONCE = 2
_SECONDS_TO_START = 30.0


class InspectionTimeout(ForgeError):
    """Looking into a dataset takes longer than anybody waits for an answer."""

    code = "INSPECTION_TIMEOUT"
    status = 504


class InspectionFailed(ForgeError):
    """The process that looked into a dataset ended: out of memory, or a file that a reader crashed on."""

    code = "INSPECTION_FAILED"
    status = 500


class InspectionBusy(ForgeError):
    """More is asked about datasets than is looked into at once."""

    code = "INSPECTION_BUSY"
    status = 503


class Inspector:
    """Starts the process when it is first needed, keeps it for the next question, and kills it when a
    question takes too long. `environment` is that of the process. Two questions are worked on at once.
    """

    def __init__(
        self, environment: Mapping[str, str], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._environment = importing_this(environment)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._places = threading.Semaphore(_AT_ONCE)
        self._idle: _Process | None = None

    def ask(
        self, question: Mapping[str, object], *, seconds: float, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The answer to a question of `jobs.inspect`; `seconds` may pass until it, or until news of progress.

        Raises what it was refused with, InspectionTimeout, InspectionFailed, InspectionBusy.
        """
        if not self._places.acquire(timeout=seconds):
            raise InspectionBusy("other datasets are being looked into", suggestion="Ask again in a moment.")
        try:
            return self._ask(question, seconds=seconds, on_progress=on_progress)
        finally:
            self._places.release()

    def close(self) -> None:
        """End the process that waits for the next question."""
        with self._lock:
            process, self._idle = self._idle, None
        if process is not None:
            process.end()

    def _ask(
        self, question: Mapping[str, object], *, seconds: float, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        process = self._taken()
        answered = False
        try:
            values = process.ask(question, seconds=seconds, on_progress=on_progress)
            answered = True
        finally:
            if not answered or not self._kept(process):
                process.end()
        if "error" in values:
            raise revived(values["error"])
        answer: dict[str, Any] = values["answer"]
        return answer

    def _taken(self) -> _Process:
        with self._lock:
            process, self._idle = self._idle, None
        if process is not None and process.is_alive():
            return process
        return _Process(self._environment, self._monotonic)

    def _kept(self, process: _Process) -> bool:
        with self._lock:
            if self._idle is None:
                self._idle = process
                return True
        return False


class _Process:
    """One process, for one question at a time."""

    def __init__(self, environment: Mapping[str, str], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rest = b""
        self._is_ready = False
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
            # Ctrl-C at a terminal is for whoever asked; this one ends with him.
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(
        self, question: Mapping[str, object], *, seconds: float, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
        except BrokenPipeError as error:
            raise self._failed() from error
        if not self._is_ready:
            # Nobody is to blame for what importing takes.
            self._line(_SECONDS_TO_START)
            self._is_ready = True
        end = self._monotonic() + seconds
        while True:
            values: dict[str, Any] = json.loads(self._line(seconds, end=end))
            if "progress" not in values:
                return values
            end = self._monotonic() + seconds
            if on_progress is not None:
                on_progress(*values["progress"])

    def _line(self, seconds: float, *, end: float | None = None) -> bytes:
        """The next line. `end` is when `seconds` will have passed, by default from now on."""
        assert self._process.stdout is not None
        end = self._monotonic() + seconds if end is None else end
        pieces = [self._rest]
        while b"\n" not in pieces[-1]:
            if not wait([self._process.stdout.fileno()], max(0.0, end - self._monotonic())):
                raise InspectionTimeout(
                    f"looking into the dataset took longer than {seconds:g} s",
                    suggestion="Ask for less of it, or for its report, which is made in the background.",
                )
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            if not piece:
                raise self._failed()
            pieces.append(piece)
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def _failed(self) -> InspectionFailed:
        code = self._process.wait()
        return InspectionFailed(
            f"the process that looked into the dataset ended with {code}",
            details={"exit_code": code},
            suggestion="A file may be damaged or too large for the memory; the server's log may say more.",
        )
