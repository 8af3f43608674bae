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
