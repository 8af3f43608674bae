"""Where folders of the machine lie is in no answer."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from forgellm.api.places import Places
from forgellm.domain.runs import RunKind
from forgellm.storage.checkpoints import sidecar_path
from forgellm.storage.events import EventLog
from forgellm.storage.runs import create_run, run_folder
from tests.api.conftest import ask

KNOWN = Places({"/home/ann": "~", "/home/ann/ws": "", "/srv/hub": "Hub cache"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/ws/models/cpt", "models/cpt"),
        ("the workspace /home/ann/ws is full", "the workspace . is full"),
        ("/home/ann/ws/", "./"),
        ("in /home/ann/ws.", "in .."),
        ("'/home/ann/ws'", "'.'"),
        ("/home/ann/ws2/notes", "~/ws2/notes"),
        ("/home/ann/ws.old/notes", "~/ws.old/notes"),
        ("/home/anna/ws/x", "/home/anna/ws/x"),
        ("/mnt/home/ann/ws/x", "/mnt/home/ann/ws/x"),
        ("/srv/hub/models--a", "Hub cache/models--a"),
        ("a\n/home/ann/ws/b\n", "a\nb\n"),
    ],
)
def test_a_folder_of_the_machine_is_written_as_what_it_is(text, shown):
    assert KNOWN.hidden({"a": [text, 1, None]}) == {"a": [shown, 1, None]}


def failed_run(forge):
    """A run whose worker could not write: its last words have the places where it could not."""
    run = create_run(
        forge.workspace,
        RunKind.CPT,
        spec={"model_name": "models/base/tiny", "dataset": "domain"},
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )
    folder = run_folder(forge.workspace, run)
    log = EventLog(folder, forge.clock)
    log.append("started", resume=False)
    log.append(
        "failed",
        code="DISK_FULL",
        error=f"{folder} is full",
        suggestion=f"Make {folder.parent} larger.",
        details={"path": str(folder / "events.jsonl"), "searched_paths": [str(forge.hub_cache)]},
    )
    (folder / "worker.log").write_text(f'Traceback\n  File "{folder}/x.py"\nOSError: {folder}\n')
    sidecar_path(folder, 10).mkdir()
    return run


@pytest.mark.parametrize(
    "path",
    [
        "/api/training/status",
        "/api/runs",
        "/api/runs/{id}",
        "/api/runs/{id}/events",
        "/api/runs/{id}/log",
        "/api/checkpoints",
        "/api/dashboard/data",
    ],
)
def test_no_place_of_the_machine_is_in_an_answer(client, forge, path):
    run = failed_run(forge)
    response = ask(client, "GET", path.format(id=run.id))
    text = response.get_data(as_text=True)
    assert response.status_code == 200
    assert str(forge.workspace.root) not in text
    assert str(forge.hub_cache) not in text
    assert json.loads(text)["success"] is True


def test_what_is_said_of_a_failure_is_still_there(client, forge):
    run = failed_run(forge)
    failure = ask(client, "GET", "/api/training/status").get_json()["failure"]
    assert failure["error"] == f"{run.folder} is full"
    assert failure["details"] == {"path": f"{run.folder}/events.jsonl", "searched_paths": ["Hub cache"]}


def test_what_people_and_rows_say_is_told_as_it_is(client, forge):
    """A chat that is exported, or a row that is looked at, would otherwise come back with other words."""
    said = f"Read {forge.workspace.root}/notes.txt and {Path.home()}/list.txt"
    message = {"id": "q", "role": "user", "content": said}
    made = ask(client, "POST", "/api/chats", json={"title": said, "messages": [message]}).get_json()["chat"]
    shown = ask(client, "GET", f"/api/chats/{made['id']}").get_json()["chat"]
    assert [made["title"], shown["title"], shown["messages"][0]["content"]] == [said] * 3
    row = json.dumps({"instruction": said, "input": "", "output": said})
    sent = {"file": (io.BytesIO(row.encode()), "places.jsonl")}
    uploaded = ask(client, "POST", "/api/upload-dataset", data=sent).get_json()
    assert uploaded["preview"] == [json.loads(row)]
    (item,) = ask(client, "GET", "/api/datasets/places/rows").get_json()["rows"]
    assert [item["values"]["output"], item["messages"][-1]["content"]] == [said] * 2
