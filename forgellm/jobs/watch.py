"""What the output of mlx.launch says of the machines that train: who beats, who ended, and how.

mlx.launch itself ends with 0 whatever became of them. What a run does about it is decided in `jobs.hosts`.
"""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from forgellm.domain.device_failures import kind_of_text
from forgellm.domain.errors import GpuInterrupted

OUTCOME = ".outcome.json"
"""Where the first machine's process leaves how the run ended."""

PEERS_GONE = 75
"""The exit status of a process that ended because another one had."""

BEAT = b"forgellm: machine %d is here\n"
BEAT_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
CONNECT_SECONDS = 120.0
"""The first machine waits for the others for ever; ssh to a machine that is off takes a minute or more."""

_BEAT = re.compile(BEAT.replace(b"%d", rb"(\d+)").strip())
_ENDED = re.compile(rb"Node with rank (\d+) (?:was killed|exited with code (-?\d+))")
_REFUSED = re.compile(rb"mlx\.launch: error: (.+)")
_COLOUR = re.compile(rb"\x1b\[\d*m")
_REPEATED = b"was closed by the peer"
_PORT_TAKEN = b"Couldn't bind socket"
_NO_JACCL = b"Cannot initialize jaccl distributed backend"
_LINES = 12
_NOT_ITS_FAULT = (None, 0, PEERS_GONE, -signal.SIGTERM)
_SSH_FAILED = 255
_OF_MEMORY = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)


@dataclass(frozen=True)
class Lost:
    """The machine that was the first to go, `how`, and where the cause is to be sought."""

    rank: int
    how: str
    cause: Literal["network", "memory", "gpu", "log"]


class Watch:
    """Fed with every line of the output; `monotonic()` gives seconds."""

    def __init__(self, names: Sequence[str], monotonic: Callable[[], float]) -> None:
        self._names = names
        self._monotonic = monotonic
        self._begun = monotonic()
        self._beats: dict[int, float] = {}
        self._ended: dict[int, int | None] = {}
        self._lines: deque[str] = deque(maxlen=_LINES)
        self.port_taken = False
        # A machine has no RDMA, or none that is enabled: MLX says no more than that it has not.
        self.no_jaccl = False
        # Why mlx.launch starts nothing: it does not take what it is told of the machines.
        self.refused: str | None = None

    def see(self, line: bytes) -> bool:
        """Take note of a line; answers whether it is one for people."""
        for found in _BEAT.finditer(line):
            self._beats[int(found[1])] = self._monotonic()
        for found in _ENDED.finditer(line):
            self._ended[int(found[1])] = int(found[2]) if found[2] else None
        self.port_taken = self.port_taken or _PORT_TAKEN in line
        self.no_jaccl = self.no_jaccl or _NO_JACCL in line
        # What the machines say themselves comes after it has started them.
        if (refused := _REFUSED.match(line)) and not self.met():
            self.refused = refused[1].decode(errors="replace").strip()
        # A ring says for each of its sockets, and again and again, that another machine is gone.
        if _BEAT.search(line) or _REPEATED in line:
            return False
        self._lines.append(plain(line).decode(errors="replace").strip())
        return True

    def silent(self) -> int | None:
        """A machine that has not been heard of for too long, or None."""
        now = self._monotonic()
        return next((rank for rank, at in self._beats.items() if now - at > PATIENCE_SECONDS), None)

    def met(self) -> bool:
        """Whether they were connected."""
        return bool(self._beats)

    def is_hopeless(self) -> bool:
        """Whether waiting is of no use: one has fallen silent, or they have not met for too long."""
        late = self._monotonic() - self._begun > CONNECT_SECONDS
        return self.silent() is not None or (late and not self.met())

    def lost(self) -> Lost | None:
        """The machine that was the first to go; None where that is not known."""
        rank = self.silent()
        if rank is not None:
            return Lost(rank, f"it has not been heard of for {PATIENCE_SECONDS:.0f} seconds", "network")
        guilty = [(rank, code) for rank, code in self._ended.items() if code not in _NOT_ITS_FAULT]
        return _lost_by(guilty[0][0], guilty[0][1] or 0, self._lines) if guilty else None

    def last_lines(self) -> list[str]:
        """What was said last, for who has to find out why."""
        return list(self._lines)

    def name(self, rank: int) -> str:
        return self._names[rank]


def plain(line: bytes) -> bytes:
    """The line as it reads without colours."""
    return _COLOUR.sub(b"", line)


def _lost_by(rank: int, code: int, said: Iterable[str]) -> Lost:
    if code == _SSH_FAILED:
        return Lost(rank, "ssh could not reach it, or lost it", "network")
    # A shell on the other side of ssh adds 128 to the number of a signal.
    number = -code if code < 0 else code - 128
    if number == signal.SIGABRT and kind_of_text("\n".join(said)) is GpuInterrupted:
        return Lost(rank, "the system ended what its GPU computed", "gpu")
    if number in _OF_MEMORY:
        how = f"its process was ended by {signal.Signals(number).name}; it may have run out of memory"
        return Lost(rank, how, "memory")
    how = f"was ended by signal {number}" if number > 0 else f"ended with status {code}"
    return Lost(rank, f"its process {how}", "log")
