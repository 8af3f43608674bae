"""A training run before its first iteration: what it is told while it prepares its data."""

from __future__ import annotations

import pytest

from forgellm.domain.runs import RunKind
from forgellm.jobs.job import Job, utc_now
from forgellm.jobs.train import train
from forgellm.storage.events import EventLog, read_events
from forgellm.storage.files import write_json
from forgellm.storage.runs import create_run, run_folder
from tests.storage.folders import NOON

SPEC = {
    "model_name": "models/base/tiny",
    "training_type": "cpt",
    "dataset": "large",
    "max_iterations": 1,
    "max_seq_length": 32,
    "validation_tokens": 64,
}


@pytest.fixture
def job(workspace, hub_cache):
    """Makes the job of one run, which is told `command`."""
    folder = workspace.datasets / "large"
    folder.mkdir()
    for n in range(20):
        (folder / f"{n}.txt").write_text(f"{n} market " * 12_000)
    run = create_run(
        workspace,
        RunKind.CPT,
        spec=SPEC,
        name="large",
        created=NOON,
        versions={},
        base_fingerprint=None,
    )
    place = run_folder(workspace, run)

    def job(command):
        log = EventLog(place, utc_now)
        return Job(workspace, run, place, log, hub_cache, control=lambda: command, clock=utc_now)

    return job


def test_a_resumed_run_that_is_paused_before_it_goes_on_is_as_far_as_it_was_saved(job):
    resumed = job("pause")
    (resumed.folder / "state").mkdir()
    write_json(resumed.folder / "state" / "state.json", {"iteration": 9})
    paused = train(resumed)
    assert (paused.type, paused.values) == ("paused", {"iteration": 9})
    assert read_events(resumed.folder)[-1]["iteration"] == 9


def test_a_run_that_tokenises_a_large_dataset_can_be_paused_and_goes_on(job):
    paused = train(job("pause"))
    assert (paused.type, paused.values) == ("paused", {"iteration": 0})
    folder = job("run").folder
    assert [event["type"] for event in read_events(folder)] == ["phase", "stopping"]
    assert not (folder / "corpus" / "corpus.json").exists()
    assert train(job("run")).type == "completed"
    told = [event["share"] for event in read_events(folder) if "tokenising" in event.get("phase", "")]
    assert told == sorted(told)
    assert 0.2 < told[-1] <= 1.0
    assert not [path for path in (folder / "corpus").iterdir() if path.name.startswith(".")]
