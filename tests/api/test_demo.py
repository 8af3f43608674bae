"""The built-in demo, begun over HTTP."""

from __future__ import annotations

from forgellm.storage.files import HeldLock
from tests.api.conftest import ask


def test_the_demo_brings_model_and_data_once_and_waits_where_another_run_trains(forge, client):
    forge.workspace.private.mkdir()
    lock = HeldLock.acquire(forge.workspace.training_lock)
    try:
        first, second = (ask(client, "POST", "/api/demo").json for _ in range(2))
    finally:
        lock.release()
    assert "models/base/lough-tiny" in first["copied"]
    assert "dataset/tamberlough" in first["copied"]
    assert (first["state"], second["state"], second["copied"]) == ("pending", "pending", [])
    assert ask(client, "GET", f"/api/runs/{first['training_id']}").json["spec"]["dataset"] == "tamberlough"


def test_the_built_in_model_comes_alone_and_is_not_copied_over_what_is_there(forge, client):
    first = ask(client, "POST", "/api/models/built-in").json
    card = forge.workspace.base_models / "lough-tiny" / "README.md"
    card.write_text("changed")
    second = ask(client, "POST", "/api/models/built-in").json
    assert (first["name"], first["message"]) == ("models/base/lough-tiny", "models/base/lough-tiny is here")
    assert second["message"] == "models/base/lough-tiny was here already"
    assert card.read_text() == "changed"
