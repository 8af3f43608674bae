"""`python -m forgellm.jobs.draw FOLDER`: draw a run's training_dashboard.png from what is in its folder.

A process of its own, because Matplotlib is slow to load and a server must not hold it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from forgellm.domain.errors import RunNotFound
from forgellm.jobs.dashboard import write_dashboard
from forgellm.jobs.report import Report
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import read_events
from forgellm.storage.liveness import state
from forgellm.storage.runs import read_run


def draw(folder: Path) -> None:
    """Write the picture into the run's folder. Raises RunNotFound, DiskFull, ReadOnly."""
    run = read_run(folder)
    if run is None:
        raise RunNotFound(f"{folder.name} is no run's folder", suggestion="Give the folder of a run.")
    report = Report(run, state(folder), read_events(folder), read_checkpoints(folder, verify=False))
    write_dashboard(folder / "training_dashboard.png", report)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
