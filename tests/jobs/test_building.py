"""What a run makes comes to its place whole, and never over what has come there meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgellm.domain.errors import RunConflict
from forgellm.jobs.building import building_of
from forgellm.jobs.job import Job, utc_now
from forgellm.storage.events import EventLog
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import Workspace
from tests.storage.folders import RunKind, new_run


@pytest.fixture
def job(tmp_path: Path) -> Job:
    workspace = Workspace.open(tmp_path)
    run = new_run(workspace, RunKind.PUBLISH)
    folder = run_folder(workspace, run)
    log = EventLog(folder, utc_now)
    return Job(workspace, run, folder, log, tmp_path, control=lambda: "run", clock=utc_now)


def test_what_was_built_comes_to_its_place(job: Job) -> None:
    target = job.workspace.published / "mine"
    with building_of(job, target) as building:
        (building / "config.json").write_text("{}")
        assert not target.exists()
    assert [path.name for path in job.workspace.published.rglob("*")] == ["mine", "config.json"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_came_into_being_meanwhile_stays_as_it_is(job: Job, there: bool) -> None:
    target = job.workspace.published / "mine"

    def build() -> None:
        with building_of(job, target) as building:
            (building / "config.json").write_text("{}")
            target.mkdir()
            if there:
                (target / "kept").write_text("theirs")

    with pytest.raises(RunConflict, match="came into being meanwhile"):
        build()
    assert [path.name for path in target.iterdir()] == (["kept"] if there else [])
    assert [path.name for path in job.workspace.published.iterdir()] == ["mine"]
