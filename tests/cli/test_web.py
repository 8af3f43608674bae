"""`forgellm web` as a process: how it begins, what it says, and that it always ends."""

import signal
import socket
import subprocess
import sys
import time

import pytest

from forgellm.web.serving import listen
from tests.cli.conftest import COMMAND, heed_interrupts
from tests.cli.servers import TOKEN, read_address
from tests.servers import a_second
from tests.web.raw import exchange, head, opened, parsed, rest

POLL = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
def place(tmp_path):
    """A workspace that needs no model."""
    (tmp_path / "dataset" / "town").mkdir(parents=True)
    (tmp_path / "dataset" / "town" / "quay.txt").write_text("The quay is made of oak.\n")
    return tmp_path


@pytest.fixture
def web(place, worker_environment):
    """Starts `forgellm web --port 0 ARGUMENTS`; answers with the process and its port."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [*COMMAND, "web", "--port", "0", *arguments],
            cwd=place,
            env={**worker_environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process, read_address(process)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def refused(place, worker_environment):
    """Runs a `forgellm web` that is to end by itself."""

    def run(*arguments):
        return subprocess.run(
            [*COMMAND, "web", *arguments], cwd=place, env=worker_environment, capture_output=True, text=True
        )

    return run


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_a_second_whoever_is_connected(web, number):
    process, port = web()
    idle, half = opened(port), opened(port)
    half.sendall(b"GET / HTTP/1.1\r\n")
    poll = opened(port)
    poll.sendall(head(POLL, port=port))
    assert parsed(rest(poll)).status == 200
    second, began = a_second(), time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == 0
    assert time.monotonic() - began < second
    assert process.stderr.read() == ""
    for connection in (idle, half, poll):
        connection.close()


def test_it_says_one_line_and_goes_on_although_its_input_has_ended(web):
    process, port = web()
    for _ in range(3):
        assert exchange(port, head(port=port)).status == 200
    assert process.poll() is None
    process.terminate()
    assert process.stdout.read() == ""


def test_a_port_in_use_is_named(refused):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = refused("--port", str(port))
    assert result.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_others_can_reach_needs_a_token(refused, host):
    result = refused("--host", host, "--port", "0")
    assert result.returncode == 2
    assert "--token" in result.stderr


def test_a_host_that_is_not_this_machines_is_named(refused):
    result = refused("--host", "192.0.2.1", "--port", "0", "--token", TOKEN)
    assert result.returncode == 1
    assert "cannot listen on port 0 of 192.0.2.1" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    ["--token short", "--token=", "--allow-host *", "--port 65536", "--workspace none"],
)
def test_what_cannot_be_is_refused(refused, arguments):
    assert refused("--port", "0", *arguments.split()).returncode == 2


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_the_token_comes_from_the_environment_and_is_written_nowhere(web, debug):
    process, port = web(*debug, FORGELLM_TOKEN=TOKEN)
    assert exchange(port, head(port=port)).status == 401
    assert exchange(port, head("/api/health", f"Authorization: Bearer {TOKEN}", port=port)).status == 200
    assert exchange(port, head(f"/?token={TOKEN}", port=port)).status == 303
    process.terminate()
    _, log = process.communicate()
    assert TOKEN not in log
    assert ("GET /api/health 200" in log) == bool(debug)


def test_an_option_wins_over_the_environment(web):
    _, port = web("--token", "another-long-token", FORGELLM_TOKEN=TOKEN)
    assert exchange(port, head("/api/health", f"Authorization: Bearer {TOKEN}", port=port)).status == 401


def test_debug_logs_refusals_and_brings_no_debugger(web):
    process, port = web("--debug")
    assert exchange(port, head(port=port, host="evil.example")).status == 403
    assert exchange(port, head("/console", port=port)).status == 404
    page = exchange(port, head("/", port=port))
    assert exchange(port, head("/?__debugger__=yes&cmd=resource&f=debugger.js", port=port)).body == page.body
    process.terminate()
    _, log = process.communicate()
    assert "refused GET /api/health: 'evil.example' is not a name of this server" in log


def test_a_name_with_a_line_break_in_it_is_one_record_whoever_logs_it(web):
    process, port = web("--debug")
    for target in (f"{POLL}&sid=x%0aERROR+fake", "/x%0aERROR%20fake", "/api/runs/x%0aERROR%20fake"):
        assert exchange(port, head(target, port=port)).status in (400, 404)
    process.terminate()
    _, log = process.communicate()
    assert "Invalid session x\\nERROR fake" in log
    assert not [line for line in log.splitlines() if line.startswith("ERROR")]


def test_the_workspace_of_the_command_wins_over_the_global_one(place, worker_environment):
    other = place / "other"
    other.mkdir()
    for options, count in ((["--workspace", str(place)], 1), ([], 0)):
        process = subprocess.Popen(
            [*COMMAND, "--workspace", str(other), "web", "--port", "0", *options],
            cwd=place,
            env=worker_environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = read_address(process)
        answer = exchange(port, head("/api/dataset/info", port=port))
        process.kill()
        process.communicate()
        assert answer.body.count(b'"town"') == count


def test_a_further_name_is_answered(web):
    _, port = web("--allow-host", "forge.local")
    assert exchange(port, head(port=port, host=f"forge.local:{port}")).status == 200


def test_localhost_is_served_on_its_ipv4_address(web):
    _, port = web("--host", "localhost")
    assert exchange(port, head(port=port, host=f"localhost:{port}")).status == 200


def test_few_descriptors_are_raised_to_what_the_system_allows(place, worker_environment):
    process = subprocess.Popen(
        ["bash", "-c", 'ulimit -Sn 128; exec "$@"', "bash", *COMMAND, "web", "--port", "0"],
        cwd=place,
        env=worker_environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    port = read_address(process)
    crowd = [opened(port) for _ in range(200)]
    status = exchange(port, head(port=port)).status
    for connection in crowd:
        connection.close()
    process.kill()
    process.communicate()
    assert status == 200


def test_the_process_never_loads_mlx(place, worker_environment, tmp_path):
    # Into a file: a pipe that nobody reads is full before everything is imported.
    account = tmp_path / "imports.txt"
    with account.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", *COMMAND[1:], "web", "--port", "0"],
            cwd=place,
            env=worker_environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        port = read_address(process)
        for target in ("/", "/api/health", "/api/models", "/api/dataset/info", "/openapi.json", "/api/runs"):
            assert exchange(port, head(target, port=port)).status == 200
        process.terminate()
        process.communicate()
    lines = account.read_text().splitlines()
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}
    assert "flask" in imported
    assert not imported & {"mlx", "mlx_lm", "transformers", "matplotlib", "torch"}


@pytest.mark.alone
def test_it_ends_when_the_one_who_holds_its_lifeline_does(place, worker_environment):
    reading, writing = socket.socketpair()
    process = subprocess.Popen(
        [*COMMAND, "web", "--port", "0", "--lifeline-fd", str(reading.fileno())],
        cwd=place,
        env=worker_environment,
        pass_fds=[reading.fileno()],
        stdout=subprocess.PIPE,
        text=True,
    )
    reading.close()
    read_address(process)
    second, began = a_second(), time.monotonic()
    writing.close()
    assert process.wait(5) == 0
    assert time.monotonic() - began < second
    process.stdout.close()
