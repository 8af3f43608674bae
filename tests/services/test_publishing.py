import json
import threading
from datetime import datetime

import pytest

from forgellm.domain.errors import (
    CheckpointNotFound,
    InvalidAdapter,
    InvalidField,
    InvalidModel,
    RunConflict,
    RunNotFound,
)
from forgellm.domain.run_specs import UnknownSpec
from forgellm.forge import Forge
from forgellm.services import publishing, runs, training
from forgellm.settings import Settings
from forgellm.storage.runs import list_runs, run_folder
from tests.conftest import make_workspace
from tests.services.conftest import SHORT_RUN, wait_for
from tests.storage.folders import adopt


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory, tiny_model, hub_cache):
    workspace = make_workspace(tmp_path_factory.mktemp("trained") / "workspace", tiny_model)
    elsewhere = Forge(Settings(workspace=workspace.root, hub_cache=hub_cache))
    run = training.start(elsewhere, SHORT_RUN)
    assert wait_for(elsewhere, run)[-1] == "completed"
    return workspace, run


@pytest.fixture
def trained(trained_once, forge):
    elsewhere, run = trained_once
    return adopt(forge.workspace, run, elsewhere=elsewhere)


def published(forge, run) -> object:
    assert wait_for(forge, run)[-1] == "completed"
    return run.spec


def test_the_best_checkpoint_is_published_unless_another_is_named(forge, trained):
    best = next(c for c in runs.checkpoints(forge, trained) if c.is_best)
    assert published(forge, publishing.publish(forge, trained))["iteration"] == best.iteration
    named = publishing.publish(forge, trained, iteration=2, name="chosen")
    assert published(forge, named) == {"run": trained.id, "iteration": 2, "name": "chosen"}
    with pytest.raises(RunConflict, match="models/published/chosen exists already"):
        publishing.publish(forge, trained, name="chosen")
    with pytest.raises(RunConflict, match="its kind is publish"):
        publishing.publish(forge, named)


def test_two_who_publish_the_same_at_the_same_moment_get_a_name_each(settings, trained):
    forge = Forge(settings, clock=lambda: datetime(2025, 1, 15, 10, 30).astimezone())
    # A name as long as a folder's may be.
    folder = run_folder(forge.workspace, trained)
    folder.rename(folder.with_name("x" * 255))
    (source,) = list_runs(forge.workspace)
    both = [publishing.publish(forge, source, iteration=2) for _ in range(2)]
    names = [str(published(forge, run)["name"]) for run in both]
    assert names == [f"{'x' * 90}_0000002_20250115_103000{again}" for again in ("", "_2")]
    assert sorted(path.name for path in forge.workspace.published.iterdir()) == names


def test_a_run_of_a_newer_version_is_named_as_one_and_nothing_is_begun(forge, trained):
    manifest = run_folder(forge.workspace, trained) / "run.json"
    values = json.loads(manifest.read_text())
    values["versions"]["forgellm"] = "99.0"
    values["spec"]["optimizer_of_tomorrow"] = "adam"
    manifest.write_text(json.dumps(values))
    (newer,) = list_runs(forge.workspace)
    for attempt in (publishing.publish, training.resume):
        with pytest.raises(UnknownSpec, match=r"made by ForgeLLM 99\.0.*optimizer_of_tomorrow") as caught:
            attempt(forge, newer)
        assert "newer" in caught.value.suggestion
    assert len(list_runs(forge.workspace)) == 1
    assert runs.status(forge, newer, verify=True).checkpoints[0].problem is None


def test_what_cannot_be_published_is_refused_before_a_run_is_created(forge, trained):
    folder = forge.workspace.root / trained.folder
    with pytest.raises(CheckpointNotFound, match="no checkpoint at iteration 3"):
        publishing.publish(forge, trained, iteration=3)
    with pytest.raises(InvalidField, match="cannot name a published model"):
        publishing.publish(forge, trained, name="../outside")
    for checkpoint in runs.checkpoints(forge, trained):
        weights = folder / checkpoint.path.rsplit("/", 1)[1]
        weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(InvalidAdapter, match="does not match its hash"):
        publishing.publish(forge, trained, iteration=2)
    with pytest.raises(CheckpointNotFound, match="no usable checkpoint"):
        publishing.publish(forge, trained)
    assert [status.run.id for status in runs.statuses(forge)] == [trained.id]


def test_without_a_run_to_publish_that_is_said(forge):
    with pytest.raises(RunNotFound, match="there is no run with checkpoints") as caught:
        runs.find(
            forge, None, wanted=lambda run, _: runs.has_checkpoints(forge, run), sought="run with checkpoints"
        )
    assert caught.value.suggestion.startswith("`forgellm train` starts the first run")


def test_the_outcome_of_publishing_is_waited_for(forge, trained):
    best = next(c for c in runs.checkpoints(forge, trained) if c.is_best)
    source, iteration = publishing.checkpoint_at(forge, best.path)
    assert (source, iteration) == (trained, best.iteration)
    values = publishing.outcome(forge, publishing.publish(forge, source, iteration=iteration), wait=a_moment)
    assert (forge.workspace.root / str(values["published_model_path"]) / "model.safetensors").is_file()
    assert values["published_validation_loss"] == pytest.approx(best.validation_loss, abs=1e-4)


def test_a_publish_run_that_fails_says_why(forge, trained):
    run = publishing.publish(forge, trained, iteration=2)
    # Its worker needs seconds to begin, and finds the base model changed.
    (forge.workspace.base_models / "tiny" / "config.json").write_text("{}")
    with pytest.raises(InvalidModel):
        publishing.outcome(forge, run, wait=a_moment)


@pytest.mark.parametrize(
    "path", ["models/cpt/x/adapters.safetensors", "dataset", "models/cpt/x/1_adapters.safetensors"]
)
def test_what_is_no_checkpoint_is_not_published(forge, path):
    with pytest.raises(CheckpointNotFound, match="is no checkpoint"):
        publishing.checkpoint_at(forge, path)


def a_moment():
    _never.wait(0.05)


_never = threading.Event()
