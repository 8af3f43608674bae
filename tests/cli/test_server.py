"""`forgellm server` as a process: what it loads, refuses and remembers, and that it always ends."""

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from forgellm.domain.chat import Target
from forgellm.storage.model_server import Record, read_record, running_at, write_record
from forgellm.web.serving import listen
from tests.cli.conftest import COMMAND, heed_interrupts
from tests.cli.servers import TOKEN, read_address
from tests.servers import Server, a_second

TINY = "models/base/tiny"


@pytest.fixture
def serve(workspace, worker_environment):
    """Starts `forgellm server --port 0 ARGUMENTS`; answers with the running server."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [*COMMAND, "server", "--port", "0", *arguments],
            cwd=workspace.root,
            env={**worker_environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return Server(f"http://127.0.0.1:{read_address(process, 'The model server')}", process)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def refused(workspace, worker_environment):
    """Runs a `forgellm server` that is to end by itself."""

    def run(*arguments):
        return subprocess.run(
            [*COMMAND, "server", "--port", "0", *arguments],
            cwd=workspace.root,
            env=worker_environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def loaded(server):
    return server.until("/api/model/status", lambda a: a["loaded"], seconds=30)


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_a_second_and_forgets_what_was_resident(serve, workspace, number):
    server = serve("--model", TINY)
    assert loaded(server)["model_name"] == TINY
    assert running_at(workspace) == server.url
    second, began = a_second(), time.monotonic()
    server.process.send_signal(number)
    assert server.process.wait(5) == 0
    assert time.monotonic() - began < second
    assert server.process.stderr.read() == ""
    assert (running_at(workspace), read_record(workspace)) == (None, None)


def test_what_was_resident_when_it_was_killed_is_loaded_again(serve, workspace):
    server = serve()
    server.post("/api/model/load", {"model_name": TINY})
    server.until("/api/model/status", lambda _: read_record(workspace).target, seconds=10)
    server.process.kill()
    server.process.wait()
    assert running_at(workspace) is None
    assert loaded(serve())["model_name"] == TINY


def test_whoever_asks_while_it_starts_again_is_answered_by_what_was_resident(serve, workspace):
    workspace.private.mkdir()
    write_record(workspace, Record("http://127.0.0.1:9", Target(TINY)))
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    asked = "Connection refused"
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(serve, "--port", str(port))
        while "Connection refused" in str(asked):
            asked = answer_of(Server(f"http://127.0.0.1:{port}", None))
        starting.result(60)
    assert asked == 200


def answer_of(server):
    """The status of an answer, or why nobody listens yet."""
    try:
        return server.post("/api/model/generate", {"prompt": "Hello", "max_tokens": 2}).status_code
    except requests.ConnectionError as error:
        return str(error)


def test_it_preloads_a_fast_library_and_keeps_its_token(serve, worker_environment):
    plain = {"LD_PRELOAD": "", "FORGELLM_TOKEN": TOKEN}
    server = serve(**plain)
    assert server.get("/api/health").status_code == 401
    assert server.get("/api/health", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    wanted = worker_environment.get("LD_PRELOAD", "")
    with open(f"/proc/{server.process.pid}/environ") as environment:
        assert f"LD_PRELOAD={wanted}" in environment.read().split("\0")


def test_a_workspace_has_one_model_server(serve, refused):
    server = serve()
    second = refused()
    assert second.returncode == 1
    assert f"has a model server already, at {server.url}" in second.stderr
    assert server.get("/api/health").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no-such-model"], "there is no model 'no-such-model'"),
        (["--model", TINY, "--adapter", "dataset/domain"], "no adapter_config.json"),
        (["--adapter", "models/cpt/mine"], "needs a --model"),
        (["--draft-model", "no-such-model"], "there is no model"),
        (["--host", "0.0.0.0"], "--token"),
        (["--workspace", "/nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(refused, arguments, words):
    result = refused(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_named(refused):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = refused("--port", str(port))
    assert result.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in result.stderr


def test_a_model_that_nobody_asks_for_is_let_go(serve):
    server = serve("--model", TINY, "--idle-minutes", "0.005")
    server.until("/api/model/status", lambda a: not a["loaded"] and not a["is_loading"], seconds=20)
    refused = server.post("/api/model/generate", {"prompt": "Hello"})
    assert refused.json()["error_code"] == "MODEL_NOT_LOADED"


def test_a_model_whose_cache_cannot_be_quantized_as_asked_is_not_loaded(serve):
    server = serve("--model", TINY, "--kv-bits", "8")
    status = server.until("/api/model/status", lambda a: not a["is_loading"], seconds=30)
    assert (status["loaded"], status["error"]["error_code"]) == (False, "INVALID_MODEL")
    assert "its heads are 16 wide" in status["error"]["error"]
