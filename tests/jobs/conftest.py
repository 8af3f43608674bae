"""A small run on documents and the model that was published from it, for whoever works with such."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from forgellm.domain.runs import RunKind
from forgellm.forge import Forge
from forgellm.jobs.job import Job, utc_now
from forgellm.services import publishing, training
from forgellm.settings import Settings
from forgellm.storage.events import EventLog
from forgellm.storage.models import find_model, fingerprint
from forgellm.storage.runs import create_run, run_folder
from tests.conftest import make_workspace
from tests.services.conftest import SHORT_RUN, wait_for

PUBLISHED = "models/published/town"


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, hub_cache: Path) -> Forge:
    """A workspace of its own with one run, published as `town`. Nothing in it may be changed or removed."""
    workspace = make_workspace(tmp_path_factory.mktemp("town") / "workspace", tiny_model)
    forge = Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))
    wish = {
        **SHORT_RUN,
        "learning_rate": 1e-2,
        "fine_tune_type": "dora",
        "train_also": ["embeddings", "norms"],
    }
    run = training.start(forge, wish)
    assert wait_for(forge, run)[-1] == "completed"
    assert wait_for(forge, publishing.publish(forge, run, name="town"))[-1] == "completed"
    return forge


def job_of(forge: Forge, kind: RunKind, spec: Mapping[str, object], *, control: Callable[[], str]) -> Job:
    """A run's work, to be done in this process."""
    model = find_model(forge.workspace, forge.hub_cache, str(spec["model_name"]))
    run = create_run(
        forge.workspace,
        kind,
        spec=spec,
        name=None,
        created=utc_now(),
        versions={},
        base_fingerprint=fingerprint(model.path),
    )
    folder = run_folder(forge.workspace, run)
    log = EventLog(folder, utc_now)
    return Job(forge.workspace, run, folder, log, forge.hub_cache, control, utc_now)
