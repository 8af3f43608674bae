import json
import os
import resource
import socket
import threading
import time

import pytest
import requests
import socketio
from bidict import bidict
from engineio.exceptions import SocketIsClosedError
from flask import Flask

from forgellm.api.places import Places
from forgellm.storage.events import EventLog, events_path
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import lock_path
from forgellm.storage.runs import run_folder
from forgellm.web.live import BATCH, UPDATE_SECONDS, Live
from forgellm.web.sockets import MAX_MESSAGE, SocketPost, sockets
from tests.web.conftest import pending

DOCUMENTED = {
    "iteration": int,
    "training_loss": float,
    "learning_rate": float,
    "tokens_per_second": float,
    "memory_usage_gb": float,
    "progress_percentage": float,
    "eta_minutes": int,
}


def test_a_newcomer_is_told_everything_once_and_then_what_is_new(script, watch):
    script.train(1, 10)
    late = watch(script.run)
    late.wait(lambda w: w.seq == 12)
    script.train(11, 30)
    late.wait(lambda w: w.seq == 32)
    assert late.seqs == list(range(1, 33))
    assert late.answers == [{"success": True, "training_id": script.run.id, "after": 0}]


def test_an_update_has_the_documented_values_and_its_place(script, watch):
    script.log.append("validation", iteration=0, validation_loss=4.5)
    script.train(1, 25)
    watcher = watch(script.run)
    watcher.wait(lambda w: w.seq == 28)
    update = watcher.named("training_update")[-1]
    assert {key: type(update[key]) for key in DOCUMENTED} == DOCUMENTED
    assert update["iteration"] == 25
    assert update["training_loss"] == 0.2
    assert update["validation_loss"] == 4.5
    assert update["progress_percentage"] == 25.0
    assert update["eta_seconds"] == 37.5
    assert (update["training_id"], update["state"], update["phase"]) == (script.run.id, "running", "training")
    assert (update["seq"], update["events"][-1]["seq"]) == (28, 28)


def test_who_knows_the_beginning_is_told_the_rest(script, watch):
    script.log.append("validation", iteration=0, validation_loss=4.5)
    script.train(1, 10)
    back = watch(script.run, after=8)
    back.wait(lambda w: w.seq == 13)
    assert back.seqs == [9, 10, 11, 12, 13]
    # What it was told before it left is still so.
    assert back.named("training_update")[0]["validation_loss"] == 4.5


def test_who_knows_more_than_there_is_misses_nothing_that_comes(script, watch):
    script.train(1, 3)
    watcher = watch(script.run, after=10**15)
    watcher.wait(lambda w: bool(w.answers))
    assert watcher.answers == [{"success": True, "training_id": script.run.id, "after": 5}]
    script.train(4, 4)
    script.end("stopped", iteration=4)
    watcher.wait(lambda w: bool(w.named("training_complete")))
    assert watcher.seqs == [6, 7]
    assert watcher.named("training_complete")[0]["seq"] == 7


def test_updates_are_never_closer_than_they_may_be(script, watch):
    watcher = watch(script.run)
    watcher.wait(lambda w: w.seq == 2)
    begun, pause = time.monotonic(), threading.Event()
    for iteration in range(1, 101):
        script.train(iteration, iteration)
        pause.wait(0.01)
    watcher.wait(lambda w: w.seq == 102)
    seconds = time.monotonic() - begun
    assert watcher.seqs == list(range(1, 103))
    assert len(watcher.named("training_update")) <= 2 + seconds / UPDATE_SECONDS


def test_a_replay_waits_for_the_client_alone_and_not_for_the_clock(script, forge):
    with open(events_path(script.folder), "a") as file:
        for seq in range(3, 2 * BATCH + 10):
            file.write(f'{{"seq": {seq}, "type": "train", "iteration": {seq - 2}}}\n')
    post = _Post(until=2 * BATCH + 9)
    live = Live(forge, post, monotonic=lambda: 0.0)
    live.watch("newcomer", script.run, after=0)
    live.start()
    assert post.told.wait(60)
    live.stop()
    assert post.counts == [BATCH, BATCH, 9]


class _Post:
    """Takes whatever is sent, up to the event `until`."""

    def __init__(self, *, until):
        self.until, self.told, self.counts = until, threading.Event(), []

    def send(self, client, name, message):
        self.counts.append(len(message["events"]))
        if message["seq"] == self.until:
            self.told.set()

    def waiting(self, client):
        return 0


def test_the_end_is_told_once_to_those_who_watched_and_to_those_who_come_later(script, watch):
    early = watch(script.run)
    script.train(1, 100)
    script.end("completed", iteration=100, final_loss=0.05, training_seconds=180.0)
    late = watch(script.run)
    for watcher in (early, late):
        watcher.wait(lambda w: bool(w.named("training_complete")))
        assert watcher.seqs == list(range(1, 104))
        assert watcher.named("training_complete") == [
            {
                "success": True,
                "training_id": script.run.id,
                "seq": 103,
                "state": "completed",
                "final_iteration": 100,
                "final_loss": 0.05,
                "training_time_minutes": 3,
                "best_checkpoints": [],
                "output_dir": script.run.folder,
            }
        ]
        assert watcher.messages[-1][0] == "training_complete"


def test_a_failure_is_told_with_what_to_do(script, watch):
    script.train(1, 3)
    script.end("failed", code="OUT_OF_MEMORY", error="out of memory", suggestion="Lower batch_size.")
    watcher = watch(script.run)
    watcher.wait(lambda w: bool(w.named("training_error")))
    assert watcher.named("training_error") == [
        {
            "training_id": script.run.id,
            "seq": 6,
            "state": "failed",
            "error": "out of memory",
            "error_code": "OUT_OF_MEMORY",
            "iteration": 3,
            "suggestion": "Lower batch_size.",
        }
    ]


def test_a_failure_is_told_without_the_places_of_the_machine(script, watch, forge):
    root = str(forge.workspace.root)
    script.end("failed", code="DISK_FULL", error=f"{root}/models/x is full", suggestion=f"Look into {root}.")
    watcher = watch(script.run)
    watcher.wait(lambda w: bool(w.named("training_error")))
    assert root not in str(watcher.messages)
    assert watcher.named("training_error")[0]["error"] == "models/x is full"


def test_a_killed_worker_is_told_and_a_resumed_run_goes_on(script, watch, forge):
    script.train(1, 3)
    watcher = watch(script.run)
    watcher.wait(lambda w: w.seq == 5)
    script.die()
    watcher.wait(lambda w: bool(w.named("training_error")))
    assert watcher.named("training_error")[0]["state"] == "interrupted"
    assert "Resume" in watcher.named("training_error")[0]["suggestion"]
    script.end("stopped", iteration=3)
    watcher.wait(lambda w: bool(w.named("training_complete")))
    assert watcher.seqs == [1, 2, 3, 4, 5, 6]
    assert watcher.named("training_complete")[0]["state"] == "stopped"


def test_what_is_no_finite_number_never_leaves(script, watch, url):
    script.train(1, 1)
    with open(events_path(script.folder), "a") as file:
        file.write('{"seq": 4, "type": "train", "iteration": 2, "training_loss": 1e999}\n')
        file.write('{"seq": 5, "type": "train", "iteration": 3, "training_loss": NaN}\n')
        file.write('{"seq": 6, "type": "train", "iteration": 4, "training_loss": "x", "more": [1e999]}\n')
    watcher = watch(script.run)
    watcher.wait(lambda w: w.seq == 6)
    events = [event for update in watcher.named("training_update") for event in update["events"]]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 6]
    assert events[3]["training_loss"] is None
    assert events[4]["more"] == [None]
    assert watcher.client.connected
    for path in (
        f"/api/runs/{script.run.id}/events",
        "/api/dashboard/data",
        "/api/training/status",
        "/api/runs",
    ):
        answer = requests.get(url + path, timeout=30)
        assert answer.status_code == 200
        json.loads(answer.content, parse_constant=_refuse)


def _refuse(name):
    raise AssertionError(f"{name} left the server")


def test_a_subscription_that_cannot_be_is_refused_with_a_reason(watch, script, url):
    nobody = watch(None)
    nobody.wait(lambda w: w.seq == 2)
    for data, code in [
        ({"training_id": "nothing"}, "RUN_NOT_FOUND"),
        ({"training_id": 7}, "INVALID_FIELD"),
        ({"training_id": script.run.id, "after": -1}, "INVALID_FIELD"),
        ({"trainingid": script.run.id}, "INVALID_FIELD"),
        ([], "INVALID_FIELD"),
        ("x", "INVALID_FIELD"),
        ({"training_id": "../../etc"}, "INVALID_PATH"),
        (({}, {}), "INVALID_FIELD"),
    ]:
        answer = nobody.client.call("subscribe_training", data, timeout=10)
        assert (answer["success"], answer["error_code"]) == (False, code)
        assert nobody.client.connected
    assert len(nobody.named("training_error")) == 8


def test_a_subscription_ends_under_every_name_of_the_run_and_only_then(watch, script):
    watcher = watch(script.run)
    watcher.wait(lambda w: w.seq == 2)
    for data in ({"training_id": 7}, {"trainingid": script.run.id}, [], ({}, {})):
        answer = watcher.client.call("unsubscribe_training", data, timeout=10)
        assert (answer["success"], answer["error_code"]) == (False, "INVALID_FIELD")
    script.train(1, 1)
    watcher.wait(lambda w: w.seq == 3)
    for number, name in enumerate([str(script.run.number), script.run.folder, script.folder.name], start=3):
        assert watcher.client.call("unsubscribe_training", {"training_id": name}) == {"success": True}
        script.train(number, number)
        # The answer comes after all that was sent before it.
        again = {"training_id": script.run.id, "after": number}
        watcher.client.call("subscribe_training", again, timeout=10)
        watcher.wait(lambda w, last=number: w.seq == last + 1)
    # Were it still watched while the iteration was written, that would have been told twice.
    assert watcher.seqs == [1, 2, 3, 4, 5, 6]


def test_a_client_that_leaves_is_forgotten(script, watch, url):
    script.train(1, 5)
    gone, stays = watch(script.run), watch(script.run)
    gone.wait(lambda w: w.seq == 7)
    gone.close()
    script.train(6, 9)
    stays.wait(lambda w: w.seq == 11)
    assert gone.seqs == list(range(1, 8))


def test_a_deleted_run_ends_its_watch(script, watch, url):
    script.train(1, 2)
    script.end("stopped", iteration=2)
    watcher = watch(script.run)
    watcher.wait(lambda w: bool(w.named("training_complete")))
    assert requests.delete(f"{url}/api/runs/{script.run.id}", timeout=30).status_code == 200
    assert watcher.client.connected
    assert requests.post(f"{url}/api/runs/{script.run.id}/restore", timeout=30).status_code == 200
    again = watch(script.run)
    again.wait(lambda w: bool(w.named("training_complete")))
    assert again.seqs == [1, 2, 3, 4, 5]


def test_a_damaged_run_is_given_up_and_the_others_go_on(script, watch, forge):
    damaged = pending(forge)
    with open(events_path(run_folder(forge.workspace, damaged)), "w") as file:
        file.write('{"seq": 1, "type": "started"}\n')
        # Somewhere between what can be read and what can be written lies what only one of them can.
        for depth in range(400, 520):
            nested = "[" * depth + "]" * depth
            file.write(f'{{"seq": {depth}, "type": "train", "iteration": 1, "x": {nested}}}\n')
    hopeless, other = watch(damaged), watch(script.run)
    hopeless.wait(lambda w: bool(w.named("training_error")))
    script.train(1, 5)
    other.wait(lambda w: w.seq == 7)
    assert other.seqs == [1, 2, 3, 4, 5, 6, 7]


def test_whatever_comes_of_one_client_the_others_are_told(script, forge):
    post = _BrokenPost()
    live = Live(forge, post)
    live.watch("broken", script.run, after=0)
    live.watch("whole", script.run, after=0)
    live.start()
    assert post.told.wait(10)
    live.stop()


def test_a_client_to_whom_nothing_can_be_sent_does_not_end_the_telling_of_others(script, forge):
    post = _UnsendablePost()
    live = Live(forge, post)
    live.watch("broken", script.run, after=0)
    live.start()
    assert post.tried.wait(10)
    live.watch("whole", script.run, after=0)
    assert post.told.wait(10)
    live.stop()


class _UnsendablePost:
    """Whatever is sent to one client of it fails, that it was given up as well."""

    def __init__(self):
        self.tried, self.told = threading.Event(), threading.Event()

    def send(self, client, name, message):
        (self.told if client == "whole" else self.tried).set()
        if client == "broken":
            raise TypeError("what nobody reckons with")

    def waiting(self, client):
        return 0


class _BrokenPost:
    """One client of it makes a library fail with what nobody reckons with."""

    def __init__(self):
        self.told = threading.Event()

    def send(self, client, name, message):
        self.told.set()

    def waiting(self, client):
        return {"whole": 0}[client]


def test_a_client_that_is_just_leaving_is_gone():
    server = sockets(Flask("leaving"), [])
    # As python-socketio leaves it for an instant while the last client goes.
    server.server.manager.rooms = {"/": {}}
    assert SocketPost(server, Places({})).waiting("leaving") is None


def test_a_message_to_a_client_that_is_just_leaving_is_dropped():
    server = sockets(Flask("leaving"), [])
    # As python-socketio and engine.io leave it for an instant while the last client goes.
    server.server.manager.rooms = {"/": {None: bidict({"leaving": "gone"})}}
    server.server.eio.sockets = _ClosedSockets()
    SocketPost(server, Places({})).send("leaving", "training_update", {})


class _ClosedSockets(dict):
    """Every socket of it was closed a moment ago."""

    def __getitem__(self, sid):
        raise SocketIsClosedError


def test_what_passes_by_is_waited_for(script, watch):
    watcher = watch(script.run)
    watcher.wait(lambda w: w.seq == 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        # Longer than the run is left without a look.
        threading.Event().wait(2 * UPDATE_SECONDS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    script.train(1, 3)
    watcher.wait(lambda w: w.seq == 5)
    assert watcher.named("training_error") == []
    assert watcher.seqs == [1, 2, 3, 4, 5]


def test_a_client_that_does_not_read_harms_nobody_and_misses_nothing(script, watch, url):
    stuck = _stuck_client(url, script.run.id)
    quick = watch(script.run)
    padding = "x" * 20_000
    for iteration in range(1, 301):
        script.log.append("train", iteration=iteration, training_loss=1.0, padding=padding)
    quick.wait(lambda w: w.seq == 302, seconds=60)
    assert quick.seqs == list(range(1, 303))
    assert requests.get(f"{url}/api/health", timeout=5).status_code == 200
    # It reads again, and is told what it has not taken yet.
    seen = []
    while not seen or seen[-1] < 302:
        seen += stuck.read()
    assert seen == list(range(1, 303))
    stuck.close()


def test_what_a_client_sends_is_done_in_its_order(script, url):
    client = _stuck_client(url, script.run.id)
    for number in range(0, 100, 2):
        client.send("subscribe_training", {"training_id": script.run.id, "after": 2}, id=number)
        client.send("unsubscribe_training", {"training_id": script.run.id}, id=number + 1)
    acknowledged = []
    while len(acknowledged) < 100:
        text = client.socket.recv()
        if text.startswith("43"):
            acknowledged.append(int(text[2 : text.index("[")]))
    assert acknowledged == list(range(100))
    client.close()


class _stuck_client:  # noqa: N801  # used as a function
    """Engine.IO over a plain WebSocket, read only when asked to."""

    def __init__(self, url, training_id):
        import websocket

        self.socket = websocket.create_connection(
            url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket",
            sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)],
            timeout=30,
        )
        self.socket.recv()
        self.socket.send("40")
        self.socket.recv()
        self.send("subscribe_training", {"training_id": training_id})

    def send(self, name, data, *, id=""):
        self.socket.send(f"42{id}{json.dumps([name, data])}")

    def read(self):
        """The numbers of the events in the next message."""
        text = self.socket.recv()
        if text == "2":
            self.socket.send("3")
        if not text.startswith("42"):
            return []
        name, message = json.loads(text[2:])
        return [event["seq"] for event in message["events"]] if name == "training_update" else []

    def close(self):
        self.socket.close()


def test_a_run_that_waits_is_watched_until_it_begins(forge, script, watch):
    waiting = pending(forge)
    watcher = watch(waiting)
    assert watcher.client.call("unsubscribe_training", {"training_id": "another"}) == {"success": True}
    folder = run_folder(forge.workspace, waiting)
    lock = HeldLock.acquire(lock_path(folder))
    EventLog(folder, forge.clock).append("started", resume=False)
    watcher.wait(lambda w: w.seqs == [1])
    lock.release()
    watcher.wait(lambda w: bool(w.named("training_error")))


def test_polling_clients_are_served_too(script, url):
    script.train(1, 3)
    told = threading.Event()
    client = socketio.Client()
    client.on("training_update", lambda message: told.set() if message["seq"] == 5 else None)
    client.connect(url, transports=["polling"])
    client.emit("subscribe_training", {"training_id": script.run.id})
    assert told.wait(10)
    client.disconnect()


@pytest.mark.parametrize("poll", ["7", "6", "4" + "x" * MAX_MESSAGE])
def test_a_poll_that_breaks_the_protocol_is_answered(script, url, poll):
    engine = f"{url}/socket.io/?EIO=4&transport=polling"
    client = json.loads(requests.get(engine, timeout=10).text[1:])["sid"]
    sent = {"data": poll, "headers": {"Content-Type": "text/plain"}}
    assert requests.post(f"{engine}&sid={client}", **sent, timeout=5).status_code == 400
    assert requests.get(f"{engine}&sid={client}", timeout=5).status_code == 400


def test_a_queue_that_stands_still_is_set_going(forge, url):
    """A worker that was killed cannot start the next run; the server does."""
    from forgellm.services import runs, training
    from tests.services.conftest import wait_for

    wish = {
        "model_name": "models/base/tiny",
        "training_type": "cpt",
        "dataset": "domain",
        "max_seq_length": 64,
        "max_iterations": 2000,
    }
    first = training.start(forge, wish)
    next(e for e in runs.follow(forge, first, after=0, wait=_moment) if e["type"] == "train")
    second = training.start(forge, {**wish, "max_iterations": 2}, queue=True)
    os.kill(int((forge.workspace.root / first.folder / "lock").read_text()), 9)
    started = f"{url}/api/runs/{second.id}/events"
    for _ in range(600):
        if requests.get(started, timeout=30).json()["events"]:
            break
        _moment()
    assert wait_for(forge, second)[-1] == "completed"


def _moment():
    _never.wait(0.05)


_never = threading.Event()
