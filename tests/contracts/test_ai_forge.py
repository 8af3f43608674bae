"""AI Forge's documented API, example by example, on the shared port and strictly below its prefix."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from forgellm.services import ollama
from tests.contracts.documents.ai_forge import (
    ANSWER,
    DOCUMENT,
    ERROR,
    HEALTH,
    MODEL,
    MODELS,
    QUESTION,
    QUEUED,
    SERVICE,
    STATUS,
    WISH,
)
from tests.contracts.living import ROWS, checked, living
from tests.contracts.strictness import mismatch

STRICT = "/ai-forge"


@pytest.fixture(scope="module")
def server(worker_environment, tmp_path_factory):
    with living(worker_environment, tmp_path_factory.mktemp("forge"), MODEL) as running:
        yield running


def sent(port, **changes):
    """The document's form: the fields as JSON, and the data as a file."""
    return port.upload(
        "/v1/fine-tune",
        "data.json",
        json.dumps(ROWS),
        part="data_file",
        request=json.dumps({**WISH, **changes}),
    )


@pytest.fixture(scope="module")
def jobs(server):
    """A job sent as a form, and one sent as JSON behind it, until both are over."""
    strict = dataclasses.replace(server, prefix=STRICT)
    answers = {"form": checked(sent(server)), "json": checked(strict.post("/v1/fine-tune", WISH))}
    for name in ("form", "json"):
        path = f"/v1/fine-tune/{answers[name]['job_id']}"
        answers[f"{name} over"] = server.until(path, lambda a: a["status"] in ("completed", "failed"))
    return answers


@pytest.fixture(params=["", STRICT])
def port(server, jobs, request):
    return dataclasses.replace(server, prefix=request.param)


def test_health_and_service(port):
    assert mismatch(HEALTH, checked(port.get("/health")), strict=port.strict) == []
    found = checked(port.get("/"))
    assert mismatch(SERVICE, found, strict=port.strict) == []
    assert found["docs"] == "/docs"


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_documentation_is_served_with_every_file_it_names(port, page):
    response = port.get(f"/{page}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert len(named) >= 2
    for path in named:
        found = port.web.get(path)
        assert (found.status_code, path[0]) == (200, "/")
        assert found.headers["Content-Type"].startswith(("text/javascript", "text/css"))
    # A page has no script inside it, which the policy would not run.
    assert re.findall(r"<script(?![^>]* src=)", response.text) == []
    assert port.web.get(f"/{page}/secret.js").status_code == 404


def test_jobs_are_queued_and_run_to_their_end(port, jobs):
    for name in ("form", "json"):
        assert mismatch(QUEUED, jobs[name], strict=True) == []
        assert jobs[name]["job_id"].startswith("job_myproject_")
        assert jobs[f"{name} over"]["status"] == "completed", jobs[f"{name} over"]
        found = checked(port.get(f"/v1/fine-tune/{jobs[name]['job_id']}"))
        assert mismatch(STATUS, found, strict=port.strict) == []
        assert (found["progress"], found["current_epoch"]) == (100.0, 3)
    assert jobs["json"]["status"] == "queued"
    run = checked(port.web.get(f"/api/runs/ift_{jobs['form']['job_id'].removeprefix('job_myproject_')}"))
    assert (run["spec"]["lora_init"], run["spec"]["lora_rank"]) == ("pissa", 64)
    # The form's data was the newest by then.
    assert "on dataset myproject_" in jobs["json"]["message"]
    listed = checked(port.get("/v1/fine-tune"))
    assert mismatch([STATUS], listed, strict=port.strict) == []
    assert {job["job_id"] for job in listed} >= {jobs["form"]["job_id"], jobs["json"]["job_id"]}


def test_the_result_is_a_model_of_the_projects_name(port):
    listed = checked(port.get("/v1/models"))
    assert mismatch(MODELS, listed, strict=port.strict) == []
    assert "myproject:custom" in [model["id"] for model in listed["data"]]
    answer = checked(port.post("/v1/chat/completions", QUESTION))
    assert mismatch(ANSWER, answer, strict=port.strict) == []
    assert answer["model"] == "myproject:custom"


def test_a_strict_chat_streams_as_openai_does(server, jobs):
    wish = {**QUESTION, "stream": True}
    response = requests.post(f"{server.web.url}{STRICT}/v1/chat/completions", json=wish, timeout=120)
    events = [line for line in response.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "data: [DONE]"
    assert json.loads(events[0][6:])["object"] == "chat.completion.chunk"


def test_a_running_and_a_waiting_job_are_cancelled(port):
    running = checked(sent(port, project_name=f"long{len(port.prefix)}", epochs=5000))
    waiting = checked(port.post("/v1/fine-tune", {**WISH, "project_name": "waiting"}))
    assert waiting["status"] == "queued"
    for job in (waiting, running):
        path = f"/v1/fine-tune/{job['job_id']}"
        answer = checked(port.delete(path))
        assert mismatch(QUEUED, answer, strict=port.strict) == []
        assert port.until(path, lambda a: a["status"] == "cancelled")["status"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/fine-tune/job_nothing", None, 404),
        ("DELETE", "/v1/fine-tune/job_x_20260116_123456", None, 404),
        ("POST", "/v1/fine-tune", {}, 400),
        ("POST", "/v1/fine-tune", {**WISH, "base_model": "nobody/nothing"}, 404),
        ("POST", "/v1/fine-tune", {**WISH, "epoch": 3}, 400),
        ("POST", "/v1/chat/completions", {**QUESTION, "model": "nothing:custom"}, 404),
        ("GET", "/nothing", None, 404),
    ],
)
def test_errors_have_the_documented_shape(port, method, path, body, status):
    response = requests.request(method, port.web.url + port.prefix + path, json=body, timeout=60)
    assert response.status_code == status
    assert mismatch(ERROR, response.json(), strict=port.strict) == []


def test_a_form_without_data_or_with_fields_that_are_no_json_leaves_nothing(port):
    before = checked(port.web.get("/api/datasets"))["datasets"]
    for refused in (
        sent(port, base_model="nobody/nothing"),
        port.upload("/v1/fine-tune", "data.json", "[]", part="data_file", request="{"),
        port.upload("/v1/fine-tune", "data.json", "[]", request=json.dumps(WISH)),
    ):
        assert refused.status_code in (400, 404)
        assert mismatch(ERROR, refused.json(), strict=port.strict) == []
    assert checked(port.web.get("/api/datasets"))["datasets"] == before


def test_an_ollama_is_connected_where_one_answers():
    class Ollama(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"version": "0.12.0"}')

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Ollama) as listening:
        port = listening.server_address[1]
        thread = threading.Thread(target=listening.handle_request)
        thread.start()
        assert ollama.answers(port=port)
        thread.join()
    assert not ollama.answers(port=port)


def test_the_table_of_endpoints_says_what_was_seen(server, told):
    told(DOCUMENT, server.seen)
