"""`python -m forgellm.jobs.rank RUN_FOLDER`: the process of one machine, started by mlx.launch on each.

It connects to the others before it loads anything: they wait for each other for half a minute. It ends when
its standard input does, for whoever started it is gone then. What it does in between is in `jobs.machines`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from forgellm.domain.errors import HostLost
from forgellm.jobs.watch import BEAT, BEAT_SECONDS, PEERS_GONE
from forgellm.training.group import Group

_WORK = "forgellm.jobs.machines"
"""Named and not imported: its libraries take seconds."""


def main(arguments: Sequence[str]) -> int:
    """Take this machine's part in the run; answers the exit status."""
    options = _parse(arguments)
    threading.Thread(target=_end_with_input, name="whoever started this", daemon=True).start()
    try:
        group = Group(options.backend)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return PEERS_GONE
    if group.rank == 0:
        status: int = importlib.import_module(_WORK).lead(options.folder, group)
        return status
    threading.Thread(target=_beat, args=(group.rank,), name="beat", daemon=True).start()
    try:
        importlib.import_module(_WORK).take_part(group)
    except HostLost as error:
        print(error.message, file=sys.stderr)
        return PEERS_GONE
    return 0


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(PEERS_GONE)


def _beat(rank: int) -> None:
    """A machine that loses its power or its network says nothing of it; it only falls silent."""
    while True:
        os.write(sys.stdout.fileno(), BEAT % rank)
        time.sleep(BEAT_SECONDS)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m forgellm.jobs.rank", description="Take part in a run.")
    parser.add_argument("folder", type=Path, help="the run's folder on the first machine")
    parser.add_argument("--backend", required=True, help="ring, jaccl or jaccl-ring")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
