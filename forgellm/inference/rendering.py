"""Rendering a chat template in a process that can be killed when it takes too long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from forgellm.domain.errors import InvalidField, TemplateTimeout
from forgellm.settings import importing_this

COMMAND = (sys.executable, "-m", "forgellm.inference.render_process")
_SECONDS = 4.0
_SECONDS_TO_START = 30.0


class Renderer:
    """Renders one template at a time; the process is started when it is first needed, and again after a kill.

    `environment` is that of the process.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        seconds: float = _SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = importing_this(environment)
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(
        self,
        template: str,
        messages: Sequence[Mapping[str, object]],
        *,
        variables: Mapping[str, object],
        tools: Sequence[Mapping[str, object]] = (),
        answered: bool = False,
    ) -> str:
        """The text of the conversation, up to where the answer begins, or with that if it is `answered`.

        Raises InvalidField where the template refuses it, TemplateTimeout where it takes too long.
        """
        job = {
            "template": template,
            "messages": list(messages),
            "tools": list(tools),
            "variables": dict(variables),
            "answered": answered,
        }
        with self._lock:
            answer = self._ask(json.dumps(job).encode() + b"\n")
        if "error" in answer:
            raise InvalidField(
                f"the model's chat template refuses these messages: {answer['error']}",
                details={"field": "messages"},
                suggestion="Most templates want user and assistant in turns, after one system message.",
            )
        return str(answer["text"])

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _ask(self, line: bytes) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = self._read_line(process, self._seconds)
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):
            self._kill()
            raise TemplateTimeout(
                f"the model's chat template did not end within {self._seconds:g} s, or took too much memory",
                suggestion="The model's template is broken or hostile: use another model.",
            )
        found: dict[str, Any] = json.loads(answer)
        return found

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._kill()
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment,
                bufsize=0,
                # Ctrl-C at a terminal means the answer, not what renders the next question.
                start_new_session=True,
            )
            self._warm_up(self._process)
        return self._process

    def _warm_up(self, process: subprocess.Popen[bytes]) -> None:
        """Importing what renders takes a second that no template is to be blamed for."""
        assert process.stdin is not None
        empty: dict[str, object] = {
            "template": "",
            "messages": [],
            "tools": [],
            "variables": {},
            "answered": True,
        }
        process.stdin.write(json.dumps(empty).encode() + b"\n")
        process.stdin.flush()
        self._read_line(process, _SECONDS_TO_START)

    def _read_line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """Up to the newline; what there is when the time is over or the process has ended."""
        assert process.stdout is not None
        end, data = self._monotonic() + seconds, bytearray()
        # Endless text comes without a pause: the clock is looked at for every piece.
        while not data.endswith(b"\n") and (left := end - self._monotonic()) > 0:
            ready = wait([process.stdout.fileno()], left)
            piece = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                break
            data += piece
        return bytes(data)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
