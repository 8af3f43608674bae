"""The way from the web server to the model server: nobody there, someone leaving, a crash."""

import signal
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import requests

from forgellm.storage.files import HeldLock
from forgellm.storage.model_server import Record, server_lock, write_record
from forgellm.web import passthrough
from tests.conftest import make_workspace
from tests.inference.conftest import poll
from tests.model_server.conftest import LONG, asked, give_room, open_requests
from tests.servers import a_second, running_server


@contextmanager
def both(workspace, environment):
    """(the web server, the model server), with a model that goes on for ever."""
    give_room(workspace)
    with (
        running_server(workspace.root, environment, command="server") as model_server,
        running_server(workspace.root, environment) as web_server,
    ):
        web_server.post("/api/model/load", {"model_name": "models/base/tiny"})
        web_server.until("/api/model/status", lambda a: a["loaded"], seconds=20)
        yield web_server, model_server


@pytest.fixture(scope="module")
def servers(tmp_path_factory, tiny_model, worker_environment):
    """For tests that leave both as they were."""
    workspace = make_workspace(tmp_path_factory.mktemp("servers") / "workspace", tiny_model)
    with both(workspace, worker_environment) as running:
        yield running


@pytest.fixture
def own_servers(workspace, worker_environment):
    """For a test that ends one of them."""
    with both(workspace, worker_environment) as running:
        yield running


def test_without_a_model_server_the_model_routes_say_so(url):
    for method, path in (("GET", "/api/model/status"), ("POST", "/api/model/unload")):
        refused = requests.request(method, url + path, timeout=10)
        assert (refused.status_code, refused.json()["error_code"]) == (503, "MODEL_SERVER_NOT_RUNNING")
        assert int(refused.headers["Retry-After"]) > 0
    assert requests.get(f"{url}/api/health", timeout=10).json()["components"]["model_server"] == "not running"


def test_a_model_server_that_stands_still_is_told_and_holds_up_no_page(url, forge, monkeypatch):
    monkeypatch.setattr(passthrough, "_SECONDS_TO_LOOK", 0.2)
    forge.workspace.private.mkdir(exist_ok=True)
    lock = HeldLock.acquire(server_lock(forge.workspace))
    # As of a process that was stopped: the system takes connections, and nobody answers.
    with socket.create_server(("127.0.0.1", 0)) as still:
        write_record(forge.workspace, Record(f"http://127.0.0.1:{still.getsockname()[1]}", None))
        refused = requests.get(f"{url}/api/model/status", timeout=60)
    lock.release()
    assert (refused.status_code, refused.json()["error_code"]) == (504, "MODEL_SERVER_SILENT")
    assert "forgellm start" in refused.json()["suggestion"]


@pytest.mark.alone
@pytest.mark.parametrize("streaming", [True, False])
def test_who_leaves_the_web_server_has_left_the_model_server(servers, streaming):
    web, model_server = servers
    connection = asked(web, "/api/model/generate", {**LONG, "streaming": streaming})
    poll(lambda: open_requests(model_server) == 1)
    if streaming:
        assert connection.recv(1)
    second, began = a_second(), time.monotonic()
    connection.close()
    poll(lambda: open_requests(model_server) == 0)
    assert time.monotonic() - began < second


def test_a_crash_in_the_middle_of_an_answer_is_told(own_servers):
    web, model_server = own_servers
    answers = []
    thread = threading.Thread(target=lambda: answers.append(web.post("/api/model/generate", LONG)))
    thread.start()
    poll(lambda: open_requests(model_server) == 1)
    with web.post("/api/model/generate", {**LONG, "streaming": True}, stream=True) as stream:
        lines = stream.iter_lines()
        assert next(lines)
        model_server.process.send_signal(signal.SIGKILL)
        *_, last = [line for line in lines if line]
    thread.join()
    assert b"MODEL_SERVER_NOT_RUNNING" in last
    assert (answers[0].status_code, answers[0].json()["error_code"]) == (503, "MODEL_SERVER_NOT_RUNNING")
    assert web.get("/api/model/status").status_code == 503
