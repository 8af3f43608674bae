"""`forgellm start`: whatever is killed, no server is left over, and training stops only when it is to."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from forgellm.jobs.launcher import launch
from forgellm.storage.liveness import state
from forgellm.storage.model_server import read_record
from forgellm.storage.runs import run_folder
from forgellm.storage.workspace import Workspace
from forgellm.web.serving import listen
from tests.cli.conftest import COMMAND, heed_interrupts, read_until
from tests.cli.servers import TOKEN, child_of, children_of, is_gone, read_address, read_addresses
from tests.jobs.sample_worker import COMMAND as SAMPLE_WORKER
from tests.jobs.sample_worker import end_all, wait_for_event
from tests.servers import Server, a_second
from tests.storage.folders import RunKind, new_run
from tests.web.raw import exchange, head

FREE_PORTS = ("--web-port", "0", "--server-port", "0")


@pytest.fixture
def place(tmp_path):
    workspace = Workspace.open(tmp_path)
    yield workspace
    end_all(workspace)


@pytest.fixture
def start(place, worker_environment):
    """Starts `forgellm start` on free ports in a session of its own."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [*COMMAND, "start", *FREE_PORTS, *arguments],
            cwd=place.root,
            env={**worker_environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def training(place, worker_environment):
    """The folder of a run that trains until it is told otherwise."""
    run = new_run(place, RunKind.CPT, spec={"act": "obey"})
    launch(place, run, environment=worker_environment, command=SAMPLE_WORKER)
    folder = run_folder(place, run)
    wait_for_event(folder, "phase")
    return folder


def health(port):
    return exchange(port, head(port=port)).status


def answers(port):
    try:
        return health(port) == 200
    except ConnectionRefusedError:
        return False


@pytest.mark.alone
def test_it_serves_and_ends_with_its_servers_within_a_second(start):
    process = start("--no-browser")
    ports = read_addresses(process)
    servers = children_of(process)
    assert [health(port) for port in ports] == [200, 200]
    second, began = a_second(), time.monotonic()
    process.terminate()
    assert process.wait(5) == 0
    assert time.monotonic() - began < second
    assert all(is_gone(server, within=0) for server in servers)
    assert process.stderr.read() == ""


@pytest.mark.alone
@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_no_server_outlives_it_when_it_is_killed(start, kill):
    process = start("--no-browser")
    read_addresses(process)
    servers = children_of(process)
    kill(process.pid, signal.SIGKILL)
    assert all(is_gone(server, within=a_second()) for server in servers)


@pytest.mark.alone
def test_no_server_outlives_it_when_it_is_killed_before_anything_is_ready(start):
    process = start("--no-browser")
    tick = threading.Event()
    while len(children := children_of(process)) < 2:
        tick.wait(0.01)
    process.kill()
    assert all(is_gone(child, within=2 * a_second()) for child in children)


def test_a_server_that_crashes_comes_back_at_the_same_address(start):
    process = start("--no-browser")
    port = read_address(process)
    child_of(process).kill()
    assert read_address(process) == port
    assert health(port) == 200


def test_a_server_that_keeps_crashing_is_given_up(start):
    process = start("--no-browser")
    for _ in range(4):
        read_address(process)
        child_of(process).kill()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the web server ended 4 times within a minute, at last with signal 9" in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_model_server_that_crashes_comes_back_with_what_was_resident(start, place, tiny_model, number):
    shutil.copytree(tiny_model, place.base_models / "tiny")
    process = start("--no-browser")
    ports = read_addresses(process)
    web = Server(f"http://127.0.0.1:{ports[0]}", process)
    assert web.post("/api/model/load", {"model_name": "models/base/tiny"}).status_code == 200
    remembered = read_record(place)
    while remembered.target is None:
        threading.Event().wait(0.02)
        remembered = read_record(place)
    child_of(process, "server").send_signal(number)
    assert read_address(process, "The model server") == ports[1]
    status = web.until("/api/model/status", lambda answer: answer.get("loaded"), seconds=30)
    assert status["model_name"] == "models/base/tiny"
    seen = web.get("/api/health").json()
    assert seen["components"]["model_server"] == "running"
    assert (seen["model_server_crash"]["signal"], seen["model_server_crash"]["given_up"]) == (number, False)
    assert seen["model_server_crash"]["signal_name"] == signal.Signals(number).name


def test_a_model_server_that_keeps_crashing_is_given_up_and_the_page_stays(start):
    process = start("--no-browser")
    port, _ = read_addresses(process)
    for again in range(4):
        child_of(process, "server").kill()
        if again < 3:
            read_address(process, "The model server")
    web = Server(f"http://127.0.0.1:{port}", process)
    seen = web.until("/api/health", lambda a: (a["model_server_crash"] or {}).get("given_up"), seconds=10)
    assert seen["components"] == {
        "web_server": "running",
        "model_server": "crashed",
        "training_pipeline": "idle",
    }
    refused = web.get("/api/model/status")
    assert (refused.status_code, refused.json()["details"]["signal"]) == (503, 9)
    process.terminate()
    assert process.communicate(timeout=10)[1].endswith("ended with signal 9: it is not started again.\n")


@pytest.mark.alone
def test_a_model_server_that_is_told_to_end_leaves_the_page(start):
    process = start("--no-browser")
    port, _ = read_addresses(process)
    server = child_of(process, "server")
    server.terminate()
    assert is_gone(server, within=a_second())
    web = Server(f"http://127.0.0.1:{port}", process)
    seen = web.get("/api/health").json()
    assert (seen["components"]["model_server"], seen["model_server_crash"]) == ("not running", None)


def test_a_server_that_is_told_to_end_is_not_started_again(start):
    process = start("--no-browser")
    read_address(process)
    child_of(process).terminate()
    assert process.wait(5) == 0


@pytest.mark.parametrize("option", ["--web-port", "--server-port"])
def test_a_port_in_use_ends_it_at_once(start, option):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        process = start("--no-browser", option, str(port))
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    assert complaint.count(f"port {port} of 127.0.0.1 is in use") == 1
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--token", "short"], "at least 8 characters"),
        (["--workspace", "/nowhere"], "nowhere"),
    ],
)
def test_what_the_server_refuses_ends_it_with_the_same_words(start, arguments, words):
    process = start("--no-browser", *arguments)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 2
    assert complaint.count(words) == 1


def test_the_token_reaches_the_server_but_no_command_line(start):
    process = start("--no-browser", FORGELLM_TOKEN=TOKEN)
    port = read_address(process)
    assert health(port) == 401
    assert exchange(port, head("/api/health", f"Authorization: Bearer {TOKEN}", port=port)).status == 200
    assert TOKEN not in " ".join(child_of(process).cmdline())


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_browser_is_opened_once_with_the_token(start, tmp_path, token):
    page = tmp_path / "opened"
    os.mkfifo(page)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {page}\n')
    browser.chmod(0o755)
    process = start(BROWSER=f"{browser} %s", **({"FORGELLM_TOKEN": token} if token else {}))
    port = read_address(process)
    assert page.read_text() == f"http://127.0.0.1:{port}{'' if token is None else f'/?token={token}'}\n"


def test_no_browser_is_opened_when_none_is_wanted_or_none_can_show_itself(start, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n")
    browser.chmod(0o755)
    for options, environment in (
        (["--no-browser"], {"BROWSER": f"{browser} %s"}),
        ([], {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}),
    ):
        process = start(*options, **environment)
        assert health(read_address(process)) == 200
        process.terminate()
        assert process.wait(5) == 0
    assert not (tmp_path / "opened").exists()


def test_training_goes_on_when_everything_else_is_told_to_end(start, training):
    process = start("--no-browser")
    read_address(process)
    process.terminate()
    assert process.wait(5) == 0
    assert state(training).value == "running"


@pytest.mark.alone
def test_training_goes_on_when_everything_else_is_killed(start, training):
    process = start("--no-browser")
    read_address(process)
    server = child_of(process)
    server.kill()
    process.kill()
    assert is_gone(server, within=a_second())
    assert state(training).value == "running"


def test_ctrl_c_without_a_terminal_pauses_the_training_and_ends(start, training):
    process = start("--no-browser")
    read_address(process)
    server = child_of(process)
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (0, "")
    assert "its state is being saved" in said
    assert state(training).value == "paused"
    assert is_gone(server, within=0)


@pytest.mark.alone
def test_a_second_ctrl_c_ends_at_once(start, place, worker_environment):
    deaf = new_run(place, RunKind.CPT, spec={"act": "obey"})
    launch(place, deaf, environment=worker_environment, command=SAMPLE_WORKER)
    folder = run_folder(place, deaf)
    worker = int(wait_for_event(folder, "phase")["pid"])
    # A worker in the middle of a long step.
    os.kill(worker, signal.SIGSTOP)
    try:
        process = start("--no-browser")
        read_address(process)
        server = child_of(process)
        process.send_signal(signal.SIGINT)
        read_until(process, "its state is being saved")
        second, began = a_second(), time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert time.monotonic() - began < second
        assert is_gone(server, within=0)
        assert state(folder).value == "running"
    finally:
        os.kill(worker, signal.SIGCONT)


def test_ctrl_c_pauses_the_training_though_nobody_reads_any_more(start, training):
    process = start("--no-browser")
    read_address(process)
    # As where `| tee` ends by the same Ctrl-C.
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    assert state(training).value == "paused"


@pytest.mark.alone
def test_a_server_comes_back_though_nobody_reads_any_more(start):
    process = start("--no-browser")
    port = read_address(process)
    server = child_of(process)
    process.stdout.close()
    server.kill()
    assert is_gone(server, within=a_second())
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    while not answers(port):
        assert process.poll() is None
        threading.Event().wait(0.05)


def test_two_ctrl_c_in_quick_succession_end_at_once_without_an_error(start, training):
    process = start("--no-browser")
    read_address(process)
    process.send_signal(signal.SIGINT)
    # It has heard the first one, and is about to look what trains.
    assert process.stdout.readline() == "\n"
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (0, "")
    assert "runs go on" in said
    assert state(training).value == "running"


@pytest.mark.parametrize(("answer", "after"), [(b"\n", "paused"), (b"n\n", "running"), (b"\x03", "running")])
def test_on_a_terminal_ctrl_c_asks(place, worker_environment, training, answer, after):
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _WITH_TERMINAL, *COMMAND[1:], "start", *FREE_PORTS, "--no-browser"],
        cwd=place.root,
        env={**worker_environment, "TERM": "dumb"},
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    os.close(child)
    _read_terminal(parent, b"ForgeLLM is at")
    os.write(parent, b"\x03")
    _read_terminal(parent, b"can be resumed [Y/n]")
    assert _typed_until_it_ends(process, parent, answer) == 0
    os.close(parent)
    assert state(training).value == after


# Makes the terminal the one that Ctrl-C is typed into, then becomes the command.
_WITH_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def _typed_until_it_ends(process, descriptor, keys):
    # Python loses a Ctrl-C that comes in the instant before it waits for a line; people type it again.
    for _ in range(20):
        os.write(descriptor, keys)
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("it did not end")


def _read_terminal(descriptor, words):
    shown = b""
    while words not in shown:
        piece = os.read(descriptor, 65536)
        assert piece, shown
        shown += piece
