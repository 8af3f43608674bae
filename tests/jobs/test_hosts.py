"""A run that two processes on this machine share, through mlx.launch: its losses, and whoever is killed."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from forgellm.domain import loss_chunks
from forgellm.domain.errors import HostLost
from forgellm.domain.hosts import parse_hosts
from forgellm.domain.runs import RunKind, RunState
from forgellm.jobs import hosts
from forgellm.jobs.hostfile import PORTS, free_port, launcher_hosts, located
from forgellm.jobs.hosts import LAUNCH
from forgellm.jobs.job import Job, utc_now
from forgellm.jobs.launcher import launch, pause, resume
from forgellm.jobs.train import train
from forgellm.jobs.watch import BEAT, CONNECT_SECONDS, PATIENCE_SECONDS, PEERS_GONE, Watch
from forgellm.storage.events import EventLog, read_events
from forgellm.storage.files import read_json, write_json
from forgellm.storage.liveness import failure, state
from forgellm.storage.runs import create_run, run_folder
from forgellm.training import separation
from tests.conftest import VOCAB_SIZE
from tests.jobs.sample_worker import end_all, wait_for_end
from tests.storage.folders import NOON

SPEC = {
    "model_name": "models/base/tiny",
    "training_type": "ift",
    "dataset": "questions",
    "max_seq_length": 64,
    "batch_size": 5,
    "grad_accumulation_steps": 2,
    "learning_rate": 1e-3,
    "max_iterations": 16,
    "save_every": 2,
    "lora_rank": 4,
}


def losses(folder):
    """What was measured at each iteration, the last time it was computed."""
    keys = {"train": "training_loss", "validation": "validation_loss"}
    found = [event for event in read_events(folder) if event["type"] in keys]
    return {(event["type"], event["iteration"]): event[keys[event["type"]]] for event in found}


def wait_for_iterations(folder, count):
    """Returns when that many were trained since the run was last started."""

    def trained():
        events = read_events(folder)
        begun = max(event["seq"] for event in events if event["type"] == "started")
        types = [event["type"] for event in events if event["seq"] > begun]
        assert "failed" not in types, failure(folder)
        return types.count("train") >= count

    wait_until(trained)


def wait_until(holds):
    poll = threading.Event()
    for _ in range(2400):
        if holds():
            return
        poll.wait(0.05)
    raise AssertionError("not within two minutes")


def processes(folder):
    """Whatever of a run's training still lives: mlx.launch, and one process for each machine."""
    return [process for process in psutil.process_iter() if str(folder) in words(process)[1:]]


def words(process):
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


def rank(folder, number):
    """The process of one machine."""
    found = [one for one in processes(folder) if one.environ().get("MLX_RANK") == str(number)]
    return found[0]


def new_run(workspace, *, base_fingerprint=None, **spec):
    wish = {**SPEC, **spec}
    return create_run(
        workspace,
        RunKind.IFT,
        spec=wish,
        name=None,
        created=NOON,
        versions={},
        base_fingerprint=base_fingerprint,
    )


@pytest.fixture
def start(workspace, worker_environment):
    """Launch or resume a run; ends what still lives afterwards."""

    def started(run=None, **spec):
        if run is None:
            run = new_run(workspace, **spec)
            launch(workspace, run, environment=worker_environment)
        else:
            resume(workspace, run, environment=worker_environment)
        return run, run_folder(workspace, run)

    yield started
    end_all(workspace)


@pytest.fixture
def alone(workspace, hub_cache):
    """The losses of a run on one machine."""

    def trained(**spec):
        run = new_run(workspace, **spec)
        folder = run_folder(workspace, run)
        log = EventLog(folder, utc_now)
        outcome = train(Job(workspace, run, folder, log, hub_cache, control=lambda: "run", clock=utc_now))
        log.append(outcome.type)
        return losses(folder)

    return trained


def test_two_machines_train_as_one_also_after_the_loss_of_one_and_can_be_paused(workspace, start, alone):
    run, folder = start(hosts=["127.0.0.1"] * 2)
    wait_for_iterations(folder, 3)
    rank(folder, 1).kill()
    wait_for_end(folder)
    assert state(folder) is RunState.FAILED
    said = failure(folder)
    assert (said["code"], said["details"]["rank"]) == ("HOST_LOST", 1)
    assert "machine 2 of the run" in said["error"]
    # It was killed: whoever reads this is not sent to look at ssh.
    assert "ssh" not in said["suggestion"]
    instead = f"`forgellm train --start-from {run.id} --training-type ift --dataset questions`"
    assert instead in said["suggestion"]
    assert "\x1b" not in (folder / "worker.log").read_text()

    start(run)
    wait_for_iterations(folder, 2)
    pause(workspace, run)
    wait_for_end(folder)
    assert state(folder) is RunState.PAUSED
    assert psutil.wait_procs(processes(folder), timeout=60)[1] == []
    found = losses(folder)
    expected = alone()
    assert len(found) >= 5
    assert found.keys() <= expected.keys()
    assert max(abs(found[key] - expected[key]) for key in found) < 1e-5


def test_two_machines_train_shared_rows_and_losses_in_chunks_as_one_does(start, alone):
    wish = {"packing": 512, "batch_size": 4, "grad_accumulation_steps": 1, "max_iterations": 4}
    _, folder = start(hosts=["127.0.0.1"] * 2, **wish)
    wait_for_end(folder)
    found, expected = losses(folder), alone(**wish)
    assert state(folder) is RunState.COMPLETED, failure(folder)
    assert found.keys() == expected.keys()
    assert max(abs(found[key] - expected[key]) for key in found) < 1e-5
    assert read_json(folder / separation.FILE)["exact"]
    # Each computed a half of 2,048 tokens.
    assert loss_chunks.WHOLE <= 1024 * VOCAB_SIZE


def test_a_machine_whose_base_model_is_another_ends_the_run_by_name(start):
    _, folder = start(hosts=["127.0.0.1"] * 2, base_fingerprint="0" * 64)
    wait_for_end(folder)
    said = failure(folder)
    assert (said["code"], said["details"]["host"]) == ("HOST_UNFIT", "127.0.0.1")
    assert "is not the model that the first machine has" in said["error"]
    assert psutil.wait_procs(processes(folder), timeout=60)[1] == []


def test_a_worker_that_is_killed_leaves_no_process_of_any_machine(tmp_path, worker_environment):
    write_json(tmp_path / "hosts.json", launcher_hosts(parse_hosts(["127.0.0.1"] * 2)))
    theirs, ours = os.pipe()
    there = str(tmp_path / "there")
    command = [*LAUNCH, str(theirs), "--hostfile", str(tmp_path / "hosts.json"), "--", "sh", "-c"]
    process = subprocess.Popen(
        [*command, 'echo here >> "$0"; sleep 300', there],
        process_group=0,
        pass_fds=[theirs],
        stdin=subprocess.PIPE,
        env=worker_environment,
    )
    wait_until(lambda: Path(there).exists() and Path(there).read_text().count("here") == 2)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2
    # What the system does for one who is killed.
    os.close(ours)
    assert process.wait(60) == -signal.SIGKILL
    assert psutil.wait_procs(started, timeout=60)[1] == []


@pytest.fixture
def signals_of_macos(monkeypatch):
    """macOS refuses to signal a group that has ended and was not waited for; Linux does not mind."""
    linux = os.killpg

    def has_ended(pid):
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    def killpg(group, number):
        if has_ended(group):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        linux(group, number)
        wait_until(lambda: has_ended(group))

    monkeypatch.setattr(os, "killpg", killpg)


@pytest.mark.usefixtures("signals_of_macos")
def test_a_resumed_run_that_is_stopped_while_machines_connect_is_as_far_as_it_was_saved(workspace, hub_cache):
    run = new_run(workspace, hosts=["127.0.0.1"] * 2)
    folder = run_folder(workspace, run)
    (folder / "state").mkdir()
    write_json(folder / "state" / "state.json", {"iteration": 9})
    log = EventLog(folder, utc_now)
    job = Job(workspace, run, folder, log, hub_cache, control=lambda: "stop", clock=utc_now)
    outcome = hosts.train(job)
    assert (outcome.type, outcome.values) == ("stopped", {"iteration": 9})
    told = [(event["type"], event.get("iteration")) for event in read_events(folder)]
    assert told == [("phase", None), ("stopping", 9)]
    assert psutil.wait_procs(processes(folder), timeout=60)[1] == []


def test_what_mlx_launch_is_told_of_the_machines():
    ring = located(parse_hosts(["127.0.0.1", "127.0.0.1"]))
    assert launcher_hosts(ring) == {
        "backend": "ring",
        "envs": [],
        "hosts": [{"ssh": "127.0.0.1", "ips": ["127.0.0.1"], "rdma": []}] * 2,
    }
    told = launcher_hosts(parse_hosts(["a=10.0.0.1/-/rdma_en2", "b=10.0.0.2/rdma_en2+rdma_en3/-"]))
    assert (told["backend"], told["envs"]) == ("jaccl", ["MLX_METAL_FAST_SYNCH=1"])
    assert [host["ssh"] for host in told["hosts"]] == ["127.0.0.1", "b"]
    assert [host["rdma"] for host in told["hosts"]] == [[None, "rdma_en2"], [["rdma_en2", "rdma_en3"], None]]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        (["no-such-machine.invalid", "127.0.0.1"], "no-such-machine.invalid is not known"),
        (["elsewhere=192.0.2.7", "127.0.0.1"], "is not this one"),
        (["127.0.0.1", "elsewhere=192.0.2.7"], "elsewhere cannot connect to"),
    ],
)
def test_machines_that_cannot_meet_are_refused_by_name_before_anything_is_started(hosts, said):
    with pytest.raises(HostLost, match=said):
        located(parse_hosts(hosts))


def test_a_port_that_is_taken_is_not_chosen():
    hosts = parse_hosts(["127.0.0.1", "127.0.0.1"])
    first = free_port(hosts, random.Random(5))
    assert first in PORTS
    with socket.socket() as other:
        other.bind(("127.0.0.1", first + 1))
        assert free_port(hosts, random.Random(5)) not in (first, first + 1)


def test_the_machine_that_went_first_is_told_from_those_that_went_because_of_it():
    watch = Watch(["one", "two", "three"], lambda: 0.0)
    for rank, code in ((0, PEERS_GONE), (2, -9), (1, -15)):
        watch.see(b"\x1b[33m[WARN] Node with rank %d exited with code %d \x1b[0m\n" % (rank, code))
    lost = watch.lost()
    assert (lost.rank, lost.cause) == (2, "memory")
    assert lost.how == "its process was ended by SIGKILL; it may have run out of memory"
    assert watch.name(2) == "three"
    assert not watch.port_taken
    watch.see(b"RuntimeError: [ring] Couldn't bind socket (error: 98)\n")
    assert watch.port_taken


def test_what_mlx_launch_refuses_is_said_in_its_words_and_not_guessed(tmp_path):
    alone = [{"ssh": "127.0.0.1", "ips": ["127.0.0.1"], "rdma": ["rdma_en2"]}]
    write_json(tmp_path / "hosts.json", {"backend": "jaccl", "hosts": alone})
    theirs, ours = os.pipe()
    command = [*LAUNCH, str(theirs), "--hostfile", str(tmp_path / "hosts.json"), "--", "true"]
    said = subprocess.run(command, process_group=0, pass_fds=[theirs], stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    os.close(ours)
    watch = Watch(["one", "two"], lambda: 0.0)
    for line in said.stderr.splitlines(keepends=True):
        watch.see(line)
    lost = hosts.host_lost(watch)
    assert lost.message.startswith(
        "mlx.launch cannot use these hosts: The hostfile is malformed: RDMA device"
    )
    assert "ssh" not in lost.suggestion


def test_machines_without_rdma_are_told_what_jaccl_needs_and_how_to_do_without():
    watch = Watch(["one", "two"], lambda: 0.0)
    watch.see(b"Cannot initialize jaccl distributed backend.\n")
    watch.see(b"[WARN] Node with rank 0 exited with code 75 \n")
    lost = hosts.host_lost(watch)
    assert lost.message.startswith("RDMA (jaccl) cannot be used")
    assert "rdma_ctl enable" in lost.suggestion
    assert "ssh" not in lost.suggestion


def test_a_machine_that_ssh_does_not_reach_did_not_connect_and_the_way_to_see_why_has_its_name():
    watch = Watch(["one", "ada@two"], lambda: 0.0)
    watch.see(b"[WARN] Node with rank 1 exited with code 255 \n")
    lost = hosts.host_lost(watch)
    assert lost.message.startswith("machine 2 of the run, ada@two, did not connect: ssh could not reach it")
    assert "`ssh ada@two true` says why" in lost.suggestion


def test_a_machine_whose_gpu_was_interrupted_is_not_told_to_be_short_of_memory():
    watch = Watch(["one", "two"], lambda: 0.0)
    watch.see(b"libc++abi: terminating due to uncaught exception: [METAL] Impacting Interactivity\n")
    watch.see(b"[WARN] Node with rank 1 exited with code -6 \n")
    lost = hosts.host_lost(watch)
    assert "ended what its GPU computed" in lost.message
    assert "Let the display sleep" in lost.suggestion


def test_a_machine_that_falls_silent_is_lost_though_nothing_says_so():
    now = [0.0]
    watch = Watch(["one", "two", "three"], lambda: now[0])
    assert [watch.see(BEAT % rank) for rank in (1, 2)] == [False, False]
    assert watch.silent() is None
    now[0] = PATIENCE_SECONDS - 1
    watch.see(BEAT % 2)
    now[0] = PATIENCE_SECONDS + 1
    assert watch.silent() == 1
    assert (watch.lost().rank, watch.lost().cause) == (1, "network")
    assert watch.is_hopeless()


def test_machines_that_do_not_meet_are_not_waited_for_for_ever():
    now = [0.0]
    watch = Watch(["one", "two"], lambda: now[0])
    now[0] = CONNECT_SECONDS + 1
    assert watch.is_hopeless()
    assert watch.lost() is None
    watch.see(BEAT % 1)
    assert not watch.is_hopeless()
