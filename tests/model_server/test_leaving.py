"""Whoever leaves is not answered any further, whether the answer was to come at once or in pieces."""

import threading
import time

import pytest

from tests.inference.conftest import poll
from tests.model_server.conftest import LONG, asked, give_room, open_requests
from tests.servers import a_second


@pytest.fixture
def endless(serve, workspace):
    """A server with a model that goes on for ever."""
    give_room(workspace)
    server, _ = serve(at_once=2)
    server.post("/api/model/load", {"model_name": "models/base/tiny"})
    return server


@pytest.mark.alone
@pytest.mark.parametrize("streaming", [True, False])
def test_generation_ends_within_a_second_of_the_client_leaving(endless, streaming):
    connection = asked(endless, "/api/model/generate", {**LONG, "streaming": streaming})
    poll(lambda: open_requests(endless) == 1)
    if streaming:
        assert connection.recv(1)
    second, began = a_second(), time.monotonic()
    connection.close()
    poll(lambda: open_requests(endless) == 0)
    assert time.monotonic() - began < second


def test_one_who_leaves_while_waiting_for_his_turn_frees_his_place(endless):
    held = [asked(endless, "/api/model/generate", LONG) for _ in range(2)]
    poll(lambda: open_requests(endless) == 2)
    waiting = asked(endless, "/api/model/generate", {**LONG, "streaming": True})
    poll(lambda: open_requests(endless) == 3)
    waiting.close()
    poll(lambda: open_requests(endless) == 2)
    for connection in held:
        connection.close()
    poll(lambda: open_requests(endless) == 0)


def test_no_thread_is_left_by_those_who_left(endless):
    before = threading.active_count()
    connections = [asked(endless, "/api/model/generate", LONG) for _ in range(8)]
    poll(lambda: open_requests(endless) == 8)
    for connection in connections:
        connection.close()
    poll(lambda: open_requests(endless) == 0)
    poll(lambda: threading.active_count() <= before)
    short = {"prompt": "Hello", "max_tokens": 3}
    assert endless.post("/api/model/generate", short).status_code == 200


def test_a_full_queue_is_told_when_to_come_back(serve):
    server, _ = serve(at_once=1, waiting=0)
    server.post("/api/model/load", {"model_name": "models/base/tiny"})
    server.post("/api/model/generate", {"prompt": "Hello", "max_tokens": 1})
    refusals = []

    def ask():
        refusals.append(server.post("/api/model/generate", {**LONG, "max_tokens": 300}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = [answer for answer in refusals if answer.status_code == 503]
    assert busy
    assert all(answer.json()["error_code"] == "MODEL_BUSY" for answer in busy)
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in busy)
