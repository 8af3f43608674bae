import json
import re
import signal
import subprocess
import threading

import psutil
import pytest

from forgellm.settings import worker_environment as environment_of_workers
from tests.cli.conftest import COMMAND, heed_interrupts
from tests.inference.conftest import FORMS, make_adapter
from tests.inference.speaker import FINISH, STATUS, Speaker, serving

ASK = ("cli", "generate", "--model", "models/base/tiny", "--max-tokens", "12")
QUESTION = "When is the rope market of Alder Quay held?"


@pytest.fixture
def start(workspace, worker_environment):
    """Starts `forgellm ARGS` in the workspace, with pipes on all sides."""
    processes = []

    def begin(*arguments, environment=worker_environment):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=workspace.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def speaker():
    made = Speaker()
    made.answers["/api/model/generate"] = [
        {"text": "", "thinking": "Hm. "},
        {"text": "Every ", "thinking": ""},
        {"text": "Monday.", "thinking": ""},
        {"done": True, **FINISH},
    ]
    with serving(made) as url:
        made.url = url
        yield made


def test_the_answer_is_on_standard_output_and_the_figures_are_on_standard_error(forgellm):
    done = forgellm(*ASK, "--prompt", QUESTION, "--temperature", "0")
    assert done.returncode == 0, done.stderr
    assert "12 tokens" in done.stderr
    assert "ended by length" in done.stderr
    assert "tokens" not in done.stdout
    assert done.stdout.strip()


def test_a_prompt_can_be_piped_in_and_the_answer_be_one_object(start, forgellm):
    options = ("--seed", "7", "--temperature", "1", "--json")
    piped, _ = start(*ASK, *options).communicate(QUESTION.encode() + b"\n")
    given = forgellm(*ASK, *options, "--prompt", QUESTION).stdout
    answer = json.loads(piped)
    assert answer["response"] == json.loads(given)["response"]
    assert (answer["model_name"], answer["adapter_path"]) == ("models/base/tiny", None)
    assert (answer["tokens_generated"], answer["finish_reason"]) == (12, "length")
    assert answer["tokens_per_second"] > 0


def test_the_adapter_answers_and_the_base_without_it(forgellm, workspace, tiny_model):
    folder = workspace.models / "cpt" / "mine"
    folder.mkdir(parents=True)
    make_adapter(tiny_model, folder, FORMS["lora"])
    asked = (*ASK, "--prompt", QUESTION, "--temperature", "0", "--raw")
    alone = forgellm(*asked).stdout
    adapted = forgellm(*asked, "--adapter-path", "models/cpt/mine").stdout
    base = forgellm(*asked, "--adapter-path", "models/cpt/mine", "--base").stdout
    assert adapted != alone
    assert base == alone


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "models/base/tinny"), "tinny"),
        (("--model", "models/base/tiny", "--top-p", "nan"), "top_p"),
        (("--model", "models/base/tiny", "--max-tokens", "0"), "max_tokens"),
        ((), "--model"),
        (("--adapter-path", "models/cpt/mine", "--server", "127.0.0.1:9"), "--model"),
    ],
)
def test_what_cannot_be_asked_ends_with_exit_code_2_and_says_why(forgellm, arguments, said):
    done = forgellm("cli", "generate", "--prompt", "x", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("data", "said"), [(b"", "empty"), (b"\xff\xfe", "UTF-8")])
def test_a_pipe_without_text_is_refused_before_anything_is_loaded(start, data, said):
    out, err = start(*ASK).communicate(data)
    assert (out, said in err.decode()) == (b"", True)


def test_ctrl_c_stops_the_answer_and_keeps_what_came(start, workspace):
    config = workspace.base_models / "tiny" / "config.json"
    longer = {**json.loads(config.read_text()), "max_position_embeddings": 10**6}
    config.write_text(json.dumps(longer))
    asked = start(*ASK[:-1], "900000", "--prompt", QUESTION, "--temperature", "0", "--raw")
    first = asked.stdout.read(10)
    asked.send_signal(signal.SIGINT)
    rest, said = asked.communicate(timeout=20)
    assert asked.returncode == 130
    assert first
    assert b"stopped" in said
    assert b"Traceback" not in said
    assert len(rest) < 900000


def test_ctrl_c_while_a_model_is_loading_ends_the_command(start, speaker):
    speaker.answers["/api/model/status"] = {**STATUS, "loaded": False, "is_loading": True}
    asked = start("cli", "generate", "--server", speaker.url, "--prompt", QUESTION)
    tick = threading.Event()
    for _ in range(1000):
        if len(speaker.asked) > 2:
            break
        tick.wait(0.01)
    asked.send_signal(signal.SIGINT)
    out, said = asked.communicate(timeout=20)
    assert (asked.returncode, out, said) == (130, b"", b"")


def test_openblas_is_preloaded_where_there_is_one(start, worker_environment):
    bare = {name: value for name, value in worker_environment.items() if name != "LD_PRELOAD"}
    wanted = environment_of_workers(bare).get("LD_PRELOAD")
    asked = start(*ASK, environment=bare)
    process, tick = psutil.Process(asked.pid), threading.Event()
    for _ in range(1000):
        if process.environ().get("LD_PRELOAD") == wanted:
            break
        tick.wait(0.01)
    out, _ = asked.communicate(QUESTION.encode())
    assert process.pid == asked.pid
    assert (asked.returncode, bool(out.strip())) == (0, True)


def test_a_server_is_asked_and_only_the_answer_is_on_standard_output(forgellm, speaker):
    done = forgellm("cli", "generate", "--server", speaker.url, "--prompt", QUESTION, "--seed", "3")
    assert (done.returncode, done.stdout) == (0, "Every Monday.\n")
    assert done.stderr.startswith("Hm. ")
    assert "4 tokens, 10.0 tokens/s, first token after 0.10 s, 20 prompt tokens (12 known)" in done.stderr
    sent = speaker.asked[-1][2]
    assert (sent["prompt"], sent["seed"], sent["max_tokens"]) == (QUESTION, 3, 512)


def test_the_model_server_itself_can_be_asked(forgellm, started):
    server = started("server", "--port", "0", "--model", "models/base/tiny")
    url = re.search(r"http://\S+", next(line for line in server.stdout if "http://" in line))[0]
    asked = (
        "cli",
        "generate",
        "--server",
        url,
        "--prompt",
        QUESTION,
        "--max-tokens",
        "12",
        "--temperature",
        "0",
    )
    there = forgellm(*asked)
    assert there.returncode == 0, there.stderr
    assert there.stdout == forgellm(*ASK, "--prompt", QUESTION, "--temperature", "0").stdout


def test_a_server_that_holds_another_model_is_told_to_load_this_one(forgellm, speaker):
    speaker.answers["/api/model/load"] = (404, {"error": "no model 'm'", "error_code": "MODEL_NOT_FOUND"})
    done = forgellm("cli", "generate", "--server", speaker.url, "--model", "m", "--prompt", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no model 'm'" in done.stderr


def test_where_no_server_is_the_way_out_is_said(forgellm):
    done = forgellm("cli", "generate", "--server", "http://127.0.0.1:9", "--prompt", "x")
    assert done.returncode == 1
    assert "forgellm start" in done.stderr


def test_what_a_server_says_keeps_its_control_characters_in_a_pipe_alone(forgellm, speaker):
    speaker.answers["/api/model/generate"] = [{"text": "\x1b[31mred"}, {"done": True, **FINISH}]
    done = forgellm("cli", "generate", "--server", speaker.url, "--prompt", "x")
    assert done.stdout == "\x1b[31mred\n"
