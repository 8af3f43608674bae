"""What the pages for training and comparing ask for, as they ask for it."""

from __future__ import annotations

import pytest

from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.storage.events import EventLog
from forgellm.storage.labels import LABEL
from forgellm.storage.runs import create_run, run_folder
from tests.api.conftest import ask
from tests.api.test_routes import assert_error
from tests.storage.folders import new_run

SPEC = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain", "max_seq_length": 64}


@pytest.fixture
def run(forge):
    """A run that nobody started."""
    return create_run(
        forge.workspace,
        RunKind.CPT,
        spec=to_dict(parse_spec({**SPEC, "sample_prompts": ["Why?"]})),
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )


def test_every_field_of_a_spec_has_its_place_in_the_form(client):
    answer = ask(client, "GET", "/api/training/fields").get_json()
    names = [field["name"] for field in answer["fields"]]
    assert sorted(names) == sorted(to_dict(parse_spec(SPEC)))
    assert list(dict.fromkeys(field["section"] for field in answer["fields"])) == answer["sections"]
    rate = next(field for field in answer["fields"] if field["name"] == "learning_rate")
    assert (rate["type"], rate["default"], rate["above"], rate["simple"]) == ("number", 5e-5, 0.0, True)
    assert all(field["help"] for field in answer["fields"])


def test_a_preflight_answers_and_nothing_is_started(client, forge):
    answer = ask(client, "POST", "/api/training/preflight", json={"spec": SPEC}).get_json()
    assert (answer["can_start"], answer["iterations"]) == (True, 500)
    assert len(answer["learning_rate"]) <= 200
    assert answer["memory"]["total"] == sum(
        answer["memory"][part]
        for part in ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "validation")
    )
    assert answer["time"] is None
    assert answer["unknown"]["time"]
    assert ask(client, "GET", "/api/runs").get_json()["total"] == 0


def test_whatever_is_null_in_a_preflight_has_a_reason(client):
    for spec in (
        {},
        {"epochs": 1},
        {**SPEC, "epochs": 1},
        {**SPEC, "model_name": "x"},
        {**SPEC, "epochs": -1},
    ):
        answer = ask(client, "POST", "/api/training/preflight", json={"spec": spec}).get_json()
        empty = {name for name, value in answer.items() if value is None} - {"command", "yaml", "spec"}
        assert empty == set(answer["unknown"]), spec


@pytest.mark.parametrize(
    "spec", [{"batch_size": 10**30}, {"lora_keys": {"a": []}}, {"\ud800": 1}, {"x": None}]
)
def test_nonsense_is_a_finding_and_no_failure(client, spec):
    response = ask(client, "POST", "/api/training/preflight", json={"spec": {**SPEC, **spec}})
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert not response.get_json()["can_start"]


def test_yaml_becomes_fields_or_says_what_is_wrong(client):
    text = "model_name: tiny\ntraining_type: ift\ndataset: questions\nlearning_rate: 5e-5\n"
    answer = ask(client, "POST", "/api/training/spec", json={"yaml": text}).get_json()
    assert answer["values"]["learning_rate"] == answer["spec"]["learning_rate"] == 5e-5
    assert answer["command"].startswith("forgellm train --model-name tiny --training-type ift")
    for wrong in (
        "- a list",
        "a: [",
        "model_name: tiny\n",
        text + "lora_rnk: 3\n",
        text + "dataset: twice\n",
    ):
        response = ask(client, "POST", "/api/training/spec", json={"yaml": wrong})
        assert_error(response, 400, "INVALID_FIELD")


def test_presets_are_kept_listed_and_deleted(client):
    kept = ask(client, "PUT", "/api/presets/night run", json={"values": {"max_iterations": 9000}})
    assert kept.get_json()["preset"]["values"] == {"max_iterations": 9000}
    names = [p["name"] for p in ask(client, "GET", "/api/presets?training_type=ift").get_json()["presets"]]
    assert names == ["ift quick", "ift careful", "ift small", "ift preferences", "night run"]
    assert ask(client, "DELETE", "/api/presets/night run").status_code == 200
    assert_error(ask(client, "DELETE", "/api/presets/night run"), 404, "PRESET_NOT_FOUND")
    assert_error(ask(client, "PUT", "/api/presets/a%0ab", json={"values": {}}), 400, "INVALID_FIELD")
    assert_error(ask(client, "PUT", "/api/presets/ift quick", json={"values": {}}), 400, "INVALID_FIELD")


def test_what_people_write_on_a_run_stays_with_it(client, forge, run):
    path = f"/api/runs/{run.id}"
    ask(client, "PATCH", path, json={"name": "First try", "tags": ["rope", "rope", "salt"]})
    answer = ask(client, "PATCH", path, json={"notes": "Too short."}).get_json()
    assert (answer["name"], answer["notes"], answer["tags"]) == ("First try", "Too short.", ["rope", "salt"])
    shown = ask(client, "GET", path).get_json()
    assert (shown["run"]["name"], shown["notes"]) == ("First try", "Too short.")
    assert ask(client, "GET", "/api/runs").get_json()["runs"][0]["tags"] == ["rope", "salt"]
    (run_folder(forge.workspace, run) / LABEL).write_text('{"name": 3, "tags": "x"}')
    assert ask(client, "GET", path).get_json()["run"]["name"] == ""
    assert_error(ask(client, "PATCH", path, json={"tags": ["x" * 50]}), 400, "INVALID_FIELD")
    assert_error(ask(client, "PATCH", "/api/runs/nothing", json={"name": ""}), 404, "RUN_NOT_FOUND")


def test_answers_of_checkpoints_can_be_read(client, forge, run):
    log = EventLog(run_folder(forge.workspace, run), forge.clock)
    log.append("sample", iteration=0, prompt="Why?", text="<b>Because</b>", finished=True)
    (prompt,) = ask(client, "GET", f"/api/runs/{run.id}/samples").get_json()["prompts"]
    assert (prompt["prompt"], prompt["answers"][0]["text"]) == ("Why?", "<b>Because</b>")


def test_runs_are_compared_by_id_or_number(client, run):
    answer = ask(client, "GET", f"/api/runs/compare?ids={run.id},1,%20").get_json()
    assert [one["id"] for one in answer["runs"]] == [run.id]
    assert answer["ranking"] is None
    for wrong in ("", ",", ",".join(map(str, range(11)))):
        assert_error(ask(client, "GET", f"/api/runs/compare?ids={wrong}"), 400, "INVALID_FIELD")
    assert_error(ask(client, "GET", "/api/runs/compare?ids=nothing"), 404, "RUN_NOT_FOUND")


def test_all_that_wait_are_named_whatever_is_listed(client, forge, run):
    waiting = [run.id, *(new_run(forge.workspace).id for _ in range(2))]
    for limits in ("", "?limit=1", "?offset=2", "?kind=publish", "?state=completed"):
        assert ask(client, "GET", f"/api/runs{limits}").get_json()["waiting"] == waiting


def test_without_a_model_or_a_run_to_start_from_nothing_is_started(client):
    wish = {name: value for name, value in SPEC.items() if name != "model_name"}
    answer = assert_error(ask(client, "POST", "/api/training/start", json=wish), 400, "INVALID_FIELD")
    assert answer["details"]["field"] == "model_name"


def test_sample_prompts_are_bounded_where_a_run_is_started(client):
    for prompts in (["?"] * 9, ["x" * 2001], ["\0"], "text"):
        response = ask(client, "POST", "/api/training/start", json={**SPEC, "sample_prompts": prompts})
        assert_error(response, 400, "INVALID_FIELD")
