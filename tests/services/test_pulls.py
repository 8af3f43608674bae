"""Searching a Hub, and downloads that go on by themselves: real processes, a Hub on loopback."""

import shutil
import signal
import sys
import threading

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.domain.errors import HubUnreachable, InvalidField, RunConflict
from forgellm.services import hub_search, pulls
from forgellm.services.parts import Parts
from forgellm.storage.models import find_model
from forgellm.storage.pulls import list_pulls, pull_folder
from tests.services.fake_hub import FakeHub, serving

NAME = "somebody/tiny"
ID = "somebody--tiny"
_poll = threading.Event()


@pytest.fixture
def fake(tiny_model, tmp_path):
    folder = tmp_path / "offered"
    shutil.copytree(tiny_model, folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    # huggingface_hub writes 10 MiB at a time, so that less than that is lost with a connection.
    weights = {**load_file(folder / "model.safetensors"), "more": np.zeros(6_000_000, np.float32)}
    save_file(weights, folder / "model.safetensors")
    made = FakeHub(folder)
    with serving(made) as url:
        made.url = url
        yield made


@pytest.fixture
def parts(forge, fake, worker_environment, tmp_path):
    environment = {**worker_environment, "HF_ENDPOINT": fake.url, "NO_PROXY": "127.0.0.1"}
    environment.pop("HF_HUB_OFFLINE")
    cache = tmp_path / "cache"
    cache.mkdir()
    environment["HF_HUB_CACHE"] = str(cache)
    return Parts(forge.workspace, cache, environment, forge.clock, forge.inspections)


def wait():
    _poll.wait(0.1)


def until(parts, holds):
    """The pull once it `holds`."""
    for _ in range(300):
        (pull,) = list_pulls(parts.workspace)
        if holds(pull):
            return pull
        wait()
    raise AssertionError(pull)


def test_a_download_is_cancelled_gone_on_with_and_forgotten(parts, fake):
    fake.go_on.clear()
    pulls.start(parts, NAME)
    with pytest.raises(RunConflict, match="already"):
        pulls.start(parts, NAME)
    until(parts, lambda pull: (pull.done_bytes or 0) > 10**7)
    # The Hub is silent: nothing comes, and it ends all the same.
    cancelled = pulls.cancel(parts, ID, wait=wait)
    assert (cancelled.state, cancelled.total_bytes) == ("cancelled", len(fake.files["model.safetensors"]))
    fake.go_on.set()
    pulls.start(parts, NAME)
    assert until(parts, lambda pull: pull.state != "running").state == "completed"
    spans = [span for method, file, span in fake.asked if (method, file) == ("GET", "model.safetensors")]
    assert (spans[0], spans[-1]) == (None, f"bytes={10 * 2**20}-")
    assert (find_model(parts.workspace, parts.hub_cache, NAME).path / "README.md").is_file()
    assert pulls.cancel(parts, ID, wait=wait) is None
    assert list_pulls(parts.workspace) == []


AWAKE = """
import sys
from contextlib import contextmanager
from forgellm.services.pull_process import main

@contextmanager
def awake():
    with open("night", "a") as night:
        print("awake", file=night, flush=True)
        yield
        print("asleep", file=night, flush=True)

main(*sys.argv[1:], awake=awake)
"""


def test_the_machine_is_kept_awake_while_a_download_goes_on(parts, fake, monkeypatch):
    monkeypatch.setattr(pulls, "COMMAND", (sys.executable, "-c", AWAKE))
    night = parts.workspace.root / "night"
    fake.go_on.clear()
    pulls.start(parts, NAME)
    until(parts, lambda pull: (pull.done_bytes or 0) > 10**7)
    assert night.read_text() == "awake\n"
    fake.go_on.set()
    assert until(parts, lambda pull: night.read_text() == "awake\nasleep\n").state == "completed"


def test_a_download_that_was_killed_is_interrupted_and_what_came_of_it_can_be_dropped(parts, fake):
    fake.go_on.clear()
    pulls.start(parts, NAME)
    until(parts, lambda pull: (pull.done_bytes or 0) > 10**7)
    (process,) = (p for p in psutil.Process().children() if ID in p.cmdline())
    process.send_signal(signal.SIGKILL)
    assert until(parts, lambda pull: pull.state != "running").state == "interrupted"
    assert list(parts.hub_cache.rglob("*.pulled")) != []
    assert pulls.cancel(parts, ID, wait=wait) is None
    assert list(parts.hub_cache.rglob("*.pulled")) == []
    with pytest.raises(pulls.PullNotFound):
        pulls.cancel(parts, ID, wait=wait)


def test_a_download_that_fails_says_why(parts, fake):
    del fake.files["model.safetensors"]
    pulls.start(parts, NAME)
    failed = until(parts, lambda pull: pull.state != "running")
    assert (failed.state, failed.failure["code"]) == ("failed", "INVALID_MODEL")


@pytest.mark.parametrize("name", ["../etc", "/etc", "--help", "a/b/c", "a--b", ""])
def test_what_is_no_id_of_a_model_is_not_asked_for(parts, name):
    with pytest.raises(InvalidField):
        pulls.start(parts, name)


@pytest.mark.parametrize("identity", ["..", "", "../pulls", "a/b", "nobody--nothing"])
def test_only_a_download_is_cancelled(parts, identity):
    with pytest.raises(pulls.PullNotFound):
        pulls.cancel(parts, identity, wait=wait)
    assert pull_folder(parts.workspace, "../x") is None


@pytest.fixture
def endpoint(fake, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_search_says_what_a_model_takes_before_it_is_downloaded(endpoint, fake):
    found, silent = hub_search.search("tiny", limit=20, only_mlx=True)
    assert (found.name, found.licence, found.model_type, found.quantization) == (
        NAME,
        "apache-2.0",
        "instruct",
        "4-bit",
    )
    assert found.weight_bytes == 4 * 500_000_000 + 2 * 125_000_000
    assert (silent.name, silent.weight_bytes, silent.model_type) == ("somebody/silent", None, None)
    assert fake.searches[0]["filter"] == ["mlx"]
    assert hub_search.search("absent", limit=20, only_mlx=False) == []


def test_a_card_on_the_hub_is_read(endpoint):
    assert hub_search.hub_card(NAME).endswith("# Tiny\n")


def test_without_a_network_the_hub_is_unreachable(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(HubUnreachable):
        hub_search.search("tiny", limit=20, only_mlx=True)
