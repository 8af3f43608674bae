"""A Forge over the test workspace, and the values of a run that takes a few seconds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from forgellm.domain.runs import Run
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import runs
from forgellm.settings import Settings
from forgellm.storage.workspace import Workspace


@pytest.fixture
def settings(workspace: Workspace, hub_cache: Path) -> Settings:
    return Settings(workspace=workspace.root, hub_cache=hub_cache)


@pytest.fixture
def forge(settings: Settings) -> Forge:
    return Forge(settings)


SHORT_RUN = {
    "model_name": "models/base/tiny",
    "training_type": "cpt",
    "dataset": "domain",
    "max_seq_length": 64,
    "max_iterations": 4,
    "save_every": 2,
}


@pytest.fixture
def short_run() -> dict[str, object]:
    return dict(SHORT_RUN)


@pytest.fixture
def launched(forge: Forge):
    """Takes note of runs whose workers have to be gone when the test is over."""
    noted: list[Run] = []
    yield noted
    for run in noted:
        if runs.status(forge, run).state.is_active:
            launcher.stop(forge.workspace, run)
            wait_for(forge, run)


def wait_for(forge: Forge, run: Run) -> list[str]:
    """The types of the run's events, once it is over."""
    return [str(event["type"]) for event in runs.follow(forge, run, after=0, wait=lambda: _poll.wait(0.05))]


def wait_until(forge: Forge, run: Run, kind: str) -> None:
    """Returns when the run's first event of that type has been written."""
    next(e for e in runs.follow(forge, run, after=0, wait=lambda: _poll.wait(0.05)) if e["type"] == kind)


# Never set: waiting for it lets other processes go on.
_poll = threading.Event()
