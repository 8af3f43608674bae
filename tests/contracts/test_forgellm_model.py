"""The documented routes of the model server, example by example, with the built-in model under their name."""

from __future__ import annotations

import json

import pytest

from forgellm.storage.workspace import Workspace
from tests.contracts.documents.forgellm_model import (
    DOCUMENT,
    GENERATE,
    GENERATED,
    LOADING,
    STATUS,
    UNLOADED,
)
from tests.contracts.hub import MODEL, put_into_hub
from tests.contracts.living import Living
from tests.contracts.shape import differences
from tests.contracts.sightings import Sightings
from tests.servers import running_server


@pytest.fixture(scope="module")
def servers(worker_environment, tmp_path_factory):
    """The model server of an empty workspace, and the web server before it."""
    cache, root = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("workspace")
    put_into_hub(cache)
    environment = {**worker_environment, "HF_HUB_CACHE": str(cache)}
    with (
        running_server(root, environment, command="server") as model_server,
        running_server(root, environment) as web_server,
    ):
        known, seen = {"model server": model_server, "web server": web_server}, Sightings()
        workspace = Workspace.open(root)
        yield {name: Living(web, workspace, name=name, seen=seen) for name, web in known.items()}


@pytest.fixture(params=["model server", "web server"])
def server(servers, request):
    """Each of the two, as they have the same routes."""
    return servers[request.param]


@pytest.fixture
def loaded(server):
    """With the model being loaded."""
    assert server.post("/api/model/load", {"model_name": MODEL}).status_code == 200
    return server


def test_load_answers_before_the_model_is_there(server):
    answer = server.post("/api/model/load", {"model_name": MODEL}).json()
    assert differences(LOADING, answer) == []
    assert (answer["message"], answer["model_name"]) == ("Model loading started", MODEL)


def test_status(loaded):
    answer = loaded.until("/api/model/status", lambda a: a["loaded"], seconds=20)
    assert differences(STATUS, answer) == []
    assert (answer["model_name"], answer["model_type"], answer["is_loading"]) == (MODEL, "instruct", False)
    assert answer["memory_usage_gb"] > 0
    assert (answer["error"], answer["active_requests"], answer["waiting_requests"]) == (None, 0, 0)


def test_generate_right_after_load_waits_for_the_model(server):
    server.post("/api/model/unload")
    server.post("/api/model/load", {"model_name": MODEL})
    answer = server.post("/api/model/generate", {"prompt": "Where is the quay?", "max_tokens": 9}).json()
    assert answer["success"] is True
    assert 0 < answer["tokens_generated"] <= 9


def test_generate(loaded):
    answer = loaded.post("/api/model/generate", GENERATE).json()
    assert differences(GENERATED, answer) == []
    assert answer["finish_reason"] in ("stop", "length")
    assert answer["prompt_tokens"] > 10
    assert answer["generation_time_seconds"] >= answer["time_to_first_token_seconds"]


def test_a_stream_has_the_same_answer_in_pieces(loaded):
    wish = {"prompt": "Who sells rope?", "temperature": 0, "max_tokens": 30, "logprobs": 2}
    whole = loaded.post("/api/model/generate", wish).json()
    with loaded.post("/api/model/generate", {**wish, "streaming": True}, stream=True) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in response.iter_lines() if line]
    *pieces, last = events
    assert last["done"] is True
    assert last.keys() == {"done", *whole}
    assert "".join(piece["text"] for piece in pieces) == last["response"] == whole["response"]
    tokens = [token for piece in pieces for token in piece["logprobs"]]
    assert [t["token"] for t in tokens] == [t["token"] for t in whole["logprobs"]]
    assert all(len(token["top"]) == 2 for token in tokens)


def test_a_seed_repeats_the_text(loaded):
    wish = {"prompt": "Tell me of the market.", "temperature": 1.0, "max_tokens": 30, "seed": 5}
    texts = {loaded.post("/api/model/generate", wish).json()["response"] for _ in range(3)}
    assert len(texts) == 1


def test_every_way_of_sampling_is_taken_together(loaded):
    wish = {
        "prompt": "Hello",
        "max_tokens": 5,
        "top_p": 0.9,
        "top_k": 10**9,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
        "seed": 2**53,
        "stop": ["never said"],
        "system_prompt": "Be brief.",
    }
    assert loaded.post("/api/model/generate", wish).status_code == 200


def test_a_completion_goes_on_with_the_text(loaded):
    wish = {"prompt": "The market of", "is_base_model": True, "max_tokens": 5, "temperature": 0}
    answer = loaded.post("/api/model/generate", wish).json()
    assert answer["prompt_tokens"] < 10


def test_unload(loaded):
    answer = loaded.post("/api/model/unload").json()
    assert answer == UNLOADED
    status = loaded.get("/api/model/status").json()
    assert (status["loaded"], status["model_name"]) == (False, None)
    refused = loaded.post("/api/model/generate", {"prompt": "Hello"})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "MODEL_NOT_LOADED")


def test_an_unknown_model_is_refused_at_once_and_the_resident_one_stays(loaded):
    refused = loaded.post("/api/model/load", {"model_name": "invalid-model"})
    assert (refused.status_code, refused.json()["error_code"]) == (404, "MODEL_NOT_FOUND")
    assert MODEL in refused.json()["details"]["known"]
    assert loaded.get("/api/model/status").json()["model_name"] == MODEL


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("generate", {"prompt": "a", "temprature": 1}, "temprature"),
        ("generate", {}, "prompt"),
        ("generate", {"prompt": "a", "max_tokens": 0}, "max_tokens"),
        ("generate", {"prompt": "a", "temperature": "hot"}, "temperature"),
        ("generate", {"prompt": "a", "is_base_model": True, "system_prompt": "b"}, "is_base_model"),
        ("load", {}, "model_name"),
        ("load", {"model_name": MODEL, "iteration": 3}, "iteration"),
        ("load", {"adapter_path": "a", "training_id": "b"}, "training_id"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_by_its_field(loaded, path, body, field):
    refused = loaded.post(f"/api/model/{path}", body)
    assert refused.status_code == 400
    assert refused.json()["details"]["field"] == field


def test_a_comparison_needs_an_adapter(loaded):
    refused = loaded.post("/api/model/compare", {"prompt": "Hello"})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "MODEL_NOT_LOADED")


def test_no_browser_reaches_the_model_server_itself(servers):
    for origin in (*(server.web.url for server in servers.values()), "null"):
        refused = servers["model server"].get("/api/health", headers={"Origin": origin})
        assert (refused.status_code, refused.json()["error_code"]) == (403, "FORBIDDEN")


def test_pages_of_the_web_server_reach_the_model_through_it(servers):
    web = servers["web server"]
    assert web.get("/api/model/status", headers={"Origin": web.web.url}).status_code == 200
    assert web.get("/api/model/status", headers={"Origin": "http://evil.example"}).status_code == 403


def test_health_and_the_document_are_there_too(server, servers):
    health = server.get("/api/health").json()
    assert health["components"]["model_server"] == "running"
    assert health["model_server_url"] == servers["model server"].web.url
    assert health["model_server_crash"] is None
    assert {"/api/model/load", "/api/model/generate"} <= server.get("/openapi.json").json()["paths"].keys()


def test_the_table_of_endpoints_says_what_was_seen(servers, told):
    told(DOCUMENT, servers["web server"].seen)
