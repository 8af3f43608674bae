"""Names of what runs make: one that is being made is taken, whoever asks at the same moment."""

from __future__ import annotations

import threading

import pytest

from forgellm.domain.errors import RunConflict
from forgellm.domain.runs import Run, RunKind
from forgellm.forge import Forge
from forgellm.jobs.job import utc_now
from forgellm.services import exporting
from forgellm.services.ingestion import name_from
from forgellm.services.naming import check_name, free_name
from forgellm.storage.events import EventLog
from forgellm.storage.runs import create_run, list_runs, run_folder
from tests.services.conftest import wait_for

TINY = "models/base/tiny"


def a_run(forge: Forge, kind: RunKind, name: str) -> Run:
    return create_run(
        forge.workspace,
        kind,
        spec={"model_name": TINY, "name": name},
        name=None,
        created=utc_now(),
        versions={},
        base_fingerprint=None,
    )


@pytest.mark.parametrize("kind", [RunKind.PUBLISH, RunKind.QUANTIZE, RunKind.EXPORT])
def test_a_name_is_taken_while_a_run_makes_what_is_called_so_and_free_once_it_failed(
    forge: Forge, kind: RunKind
) -> None:
    exports, published = forge.workspace.exports, forge.workspace.published
    parent, other = (exports, published) if kind is RunKind.EXPORT else (published, exports)
    run = a_run(forge, kind, "mine")
    with pytest.raises(RunConflict, match=f"{parent.name}/mine is being made by run {run.id}"):
        check_name(forge, "mine", parent, what="it")
    assert free_name(forge, parent, "mine") == "mine_2"
    assert free_name(forge, other, "mine") == "mine"
    EventLog(run_folder(forge.workspace, run), utc_now).append("failed", code="DISK_FULL", error="")
    check_name(forge, "mine", parent, what="it")
    assert free_name(forge, parent, "mine") == "mine"


def test_of_two_who_ask_for_the_same_name_at_once_one_is_refused(forge: Forge, launched: list[Run]) -> None:
    together, refused = threading.Barrier(4), []

    def ask() -> None:
        together.wait(60)
        try:
            launched.append(exporting.export_model(forge, TINY, format="safetensors", name="same"))
        except RunConflict as error:
            refused.append(error)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(60)
    assert (len(launched), len(refused), len(list_runs(forge.workspace))) == (1, 3, 1)
    assert wait_for(forge, launched[0])[-1] == "completed"


def test_a_dataset_is_called_what_its_folder_is_as_far_as_plain_letters_go():
    assert [name_from(text) for text in ("Über mich", "cafe\u0301 No. 1", "日記", "notes.v2")] == [
        "Uber_mich",
        "cafe_No._1",
        "dataset",
        "notes.v2",
    ]
