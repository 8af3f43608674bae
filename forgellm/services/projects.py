"""Fine-tuned models by the project they were made for: `myproject:custom`."""

from __future__ import annotations

from collections.abc import Iterable

from forgellm.domain.runs import Run
from forgellm.services.marks import marks_of
from forgellm.services.parts import Parts
from forgellm.storage.runs import list_runs, run_folder

SUFFIX = ":custom"
MARK = "project"


def project_of(parts: Parts, run: Run) -> str | None:
    """The project that the run was started for, if for any."""
    return marks_of(parts, run).get(MARK)


def newest_of_projects(parts: Parts, runs: Iterable[Run]) -> dict[str, Run]:
    """The newest of the runs by each project's model."""
    known = ((run, project_of(parts, run)) for run in sorted(runs, key=lambda run: run.number))
    return {f"{project}{SUFFIX}": run for run, project in known if project}


def run_of_project(parts: Parts, name: str) -> Run | None:
    """The newest run with weights of the project whose model has that name."""
    if not name.endswith(SUFFIX):
        return None
    trained = (run for run in list_runs(parts.workspace) if run.kind.trains)
    usable = [r for r in trained if (run_folder(parts.workspace, r) / "adapters.safetensors").is_file()]
    return newest_of_projects(parts, usable).get(name)
