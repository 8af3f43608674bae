"""A Forge over the test workspace, an undisturbed run to compare with, and a process that stands by."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgellm.domain.runs import Run, RunState
from forgellm.forge import Forge
from forgellm.settings import Settings
from forgellm.storage.liveness import state
from forgellm.storage.runs import read_run, run_folder
from forgellm.storage.workspace import Workspace
from tests.jobs.sample_worker import end_all, wait_for_end
from tests.journeys.lives import begin, command
from tests.storage.folders import adopt


@pytest.fixture
def forge(workspace: Workspace, hub_cache: Path) -> Iterator[Forge]:
    """Over the test workspace; every run it leaves is stopped."""
    yield Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))
    end_all(workspace)


@pytest.fixture
def forgellm(workspace: Workspace, worker_environment: dict[str, str]) -> Callable[..., object]:
    """Runs `forgellm ARGUMENTS` in the workspace, under limits where some are given."""

    def run(*arguments: str, **limits: int) -> subprocess.CompletedProcess[str]:
        return command(workspace.root, arguments, environment=worker_environment, **limits)

    return run


@pytest.fixture
def undisturbed(forge: Forge, reference: dict[str, Path]) -> Callable[..., Path]:
    """The folder of a run of these values that nothing happened to, in a workspace of its own."""

    def folder(**values: object) -> Path:
        return _reference(forge, reference, values)

    return folder


@pytest.fixture
def finished(forge: Forge, undisturbed: Callable[..., Path]) -> Callable[..., tuple[Run, Path]]:
    """A run of these values that nothing happened to, as one of the test's own workspace, and its folder."""

    def copy(**values: object) -> tuple[Run, Path]:
        folder = undisturbed(**values)
        run = read_run(folder)
        assert run is not None
        adopt(forge.workspace, run, elsewhere=Workspace.open(folder.parents[2]))
        return run, run_folder(forge.workspace, run)

    return copy


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `undisturbed` has made: key → folder; `root` is where."""
    return {"root": tmp_path_factory.mktemp("undisturbed")}


def _reference(forge: Forge, made: dict[str, Path], values: dict[str, object]) -> Path:
    key = repr(sorted(values.items()))
    if key not in made:
        root = made["root"] / str(len(made))
        for part in ("models/base", "dataset"):
            shutil.copytree(forge.workspace.root / part, root / part)
        _, folder = begin(Forge(Settings(workspace=root, hub_cache=forge.hub_cache)), **values)
        wait_for_end(folder)
        assert state(folder) is RunState.COMPLETED
        made[key] = folder
    return made[key]


@pytest.fixture(scope="module", autouse=True)
def _bystander() -> Iterator[None]:
    """A process that is none of ours, though its arguments look like it; it survives every test."""
    arguments = ["sh", "-c", "read line", "mlx_lm.lora", "-m", "forgellm.jobs.worker"]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE)
    yield
    assert process.poll() is None
    process.communicate(b"\n")
