"""What the dashboard's routes say of a run that nobody computes any more."""

from __future__ import annotations

from datetime import datetime, timezone

from forgellm.domain.runs import RunKind
from forgellm.storage.events import EventLog
from forgellm.storage.runs import create_run, run_folder
from tests.api.conftest import ask


def test_the_time_of_the_latest_measurements_is_theirs(client, forge):
    """Whoever draws them over it would otherwise see a run that stands still as one that goes on."""
    then = datetime(2026, 1, 1, 12, 30, tzinfo=timezone.utc)
    spec = {"model_name": "models/base/tiny", "dataset": "domain"}
    run = create_run(
        forge.workspace,
        RunKind.CPT,
        spec=spec,
        name=None,
        created=then,
        versions={},
        base_fingerprint=None,
    )
    log = EventLog(run_folder(forge.workspace, run), lambda: then)
    log.append("train", iteration=3, training_loss=1.5, iteration_seconds=0.1)
    log.append("stopped", iteration=3)
    told = ask(client, "GET", "/api/dashboard/realtime").get_json()["current_metrics"]
    assert (told["iteration"], told["training_loss"]) == (3, 1.5)
    assert told["timestamp"] == "2026-01-01T12:30:00Z"
