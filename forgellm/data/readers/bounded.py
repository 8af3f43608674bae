"""Reading HTML, PDF, Word files and e-books in a process that is bounded in time, and on Linux in memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

KINDS = {".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf", ".docx": "docx", ".epub": "epub"}
"""The module that reads each kind of file, by the file's suffix."""

LARGEST_FILE = 1 << 30
SECONDS, MOST_SECONDS = 60.0, 600.0
"""For one file: so long, and so long again for each MiB of it. pypdf reads some 30 pages a second, and a
MiB has a thousand where it has no pictures."""


@dataclass(frozen=True)
class Text:
    """What a file says, in Markdown, and the encoding it was decoded from."""

    text: str
    encoding: str


@dataclass(frozen=True)
class Refusal:
    """Why a file says nothing; `line` counts from 1, None where the whole file is meant."""

    reason: str
    suggestion: str = ""
    line: int | None = None


class BoundedReader:
    """One reading process, begun with the first file, followed by another where it came to an end."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, path: Path) -> Text | Refusal:
        """The text of a file whose suffix is one of `KINDS`."""
        size = path.stat().st_size
        if size > LARGEST_FILE:
            return Refusal(f"is larger than {LARGEST_FILE >> 20} MiB", "Split it.")
        seconds = min(MOST_SECONDS, self._seconds * (1 + size // 2**20))
        job = {"kind": KINDS[path.suffix.lower()], "path": str(path.absolute()), "seconds": seconds}
        process = self._process or self._start()
        answer = self._ask(process, json.dumps(job).encode() + b"\n")
        if not answer.endswith(b"\n"):
            return self._fate(process, seconds)
        found = json.loads(answer)
        return Text(**found) if "text" in found else Refusal(**found)

    def close(self) -> None:
        """End the process; whatever it was doing is given up."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, process: subprocess.Popen[bytes], job: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(job)
            process.stdin.flush()
        return process.stdout.readline()

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "forgellm.data.readers.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return self._process

    def _fate(self, process: subprocess.Popen[bytes], seconds: float) -> Refusal:
        """What the process that gave no answer died of."""
        words = process.communicate()[1][-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._process = None
        if process.returncode == -signal.SIGALRM:
            return Refusal(f"takes longer than {seconds:g} seconds to read", _SIMPLER)
        if "MemoryError" in words:
            return Refusal("takes too much memory to read", _SIMPLER)
        died = words[:200] or f"its reader ended with {process.returncode}"
        return Refusal(f"cannot be read, it may be damaged: {died}", _SIMPLER)


_SIMPLER = "Save its text as .txt or .md, or leave the file out."
