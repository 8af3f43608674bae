import json
import shutil
import signal
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.domain.runs import RunKind
from forgellm.storage.runs import create_run, run_folder
from tests.cli.conftest import COMMAND, heed_interrupts
from tests.cli.terminals import Terminal
from tests.services.fake_hub import FakeHub, serving

NAME = "somebody/tiny"


@pytest.fixture
def hub(tiny_model, tmp_path):
    folder = tmp_path / "published"
    shutil.copytree(tiny_model, folder)
    for foreign in ("pytorch_model.bin", "modeling_tiny.py", "consolidated.safetensors", "setup.sh"):
        (folder / foreign).write_bytes(b"not wanted")
    # huggingface_hub writes 10 MiB at a time, so that less than that is lost with a connection.
    weights = {**load_file(folder / "model.safetensors"), "more": np.zeros(6_000_000, np.float32)}
    save_file(weights, folder / "model.safetensors")
    made = FakeHub(folder)
    with serving(made) as url:
        made.url = url
        yield made


@pytest.fixture
def environment(hub, worker_environment, tmp_path):
    values = {**worker_environment, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "cache")}
    values.pop("HF_HUB_OFFLINE")
    return {**values, "HF_TOKEN": "hf_CANARY", "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def call(workspace, environment):
    """Runs `forgellm models ARGS` to its end, with the fake Hub."""

    def run(*arguments, **changed):
        return subprocess.run(
            [*COMMAND, "models", *arguments],
            cwd=workspace.root,
            env={**environment, **changed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def names(done):
    return [row["name"] for row in json.loads(done.stdout)]


def trained(workspace, clock, kind=RunKind.CPT, **spec):
    """A training run that has ended and left an adapter."""
    run = create_run(
        workspace, kind, spec=spec, name="mine", created=clock(), versions={}, base_fingerprint=None
    )
    (run_folder(workspace, run) / "adapters.safetensors").write_bytes(b"x" * 1000)
    (run_folder(workspace, run) / "events.jsonl").write_text('{"seq": 1, "type": "stopped"}\n')
    return run


@pytest.fixture
def clock():
    from forgellm.forge import local_time

    return local_time


def test_every_model_is_listed_by_the_name_that_it_is_used_by(call, workspace, clock):
    run = trained(workspace, clock)
    published = workspace.published / "answers"
    shutil.copytree(workspace.base_models / "tiny", published)
    rows = json.loads(call("list", "--json").stdout)
    assert [(row["name"], row["kind"]) for row in rows] == [
        ("models/base/tiny", "base"),
        (run.id, "cpt"),
        ("models/published/answers", "published"),
    ]
    shown = call().stdout.splitlines()
    assert shown[0].split() == ["name", "kind", "size", "created"]
    assert shown[1].startswith("models/base/tiny")
    assert len(shown) == 4


def test_a_list_is_no_wider_than_the_terminal_and_whole_where_it_is_piped(call, workspace, environment):
    long = f"models/published/{'answers-' * 9}2"
    shutil.copytree(workspace.base_models / "tiny", workspace.root / long)
    piped = call().stdout.splitlines()
    assert (piped[0].split(), len(piped[2]) > 100) == (["name", "kind", "size", "created"], True)
    # A terminal that does not tell its width has 80 columns.
    with Terminal([*COMMAND, "models"], cwd=workspace.root, environment=environment) as terminal:
        assert terminal.end(seconds=60) == 0
        shown = terminal.seen.splitlines()
    assert shown[0].split() == ["name", "size"]
    assert max(map(len, shown)) == 80
    assert shown[2].startswith("…")
    assert "answers-2" in shown[2]


def test_a_model_is_pulled_without_code_and_pickles_and_can_be_used(call, hub, cache):
    done = call("pull", NAME)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{NAME} is in ")
    assert {file for _, file, _ in hub.asked} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert NAME in names(call("list", "--json"))
    assert "hf_CANARY" not in done.stdout + done.stderr
    again = call("pull", NAME)
    assert again.returncode == 0, again.stderr
    assert spans(hub) == [0]


def spans(hub):
    """Where each attempt at the weights began, in bytes."""
    asked = [span for method, file, span in hub.asked if (method, file) == ("GET", "model.safetensors")]
    return [int(span.removeprefix("bytes=").removesuffix("-")) if span else 0 for span in asked]


def test_a_connection_that_is_cut_is_gone_on_with_where_it_was(call, hub):
    hub.cut = 1
    done = call("pull", NAME)
    assert done.returncode == 0, done.stderr
    assert spans(hub) == [0, 10 * 2**20]
    assert NAME in names(call("list", "--json"))


def begun_files(cache):
    """Weights that have come in part. Elsewhere in the cache huggingface_hub makes and removes folders."""
    return list((cache / "models--somebody--tiny" / "blobs").glob("*.pulled"))


@pytest.fixture
def interrupted(hub, workspace, environment, cache):
    """What a pull said that was interrupted in the middle of the weights."""
    hub.go_on.clear()
    begun = subprocess.Popen(
        [*COMMAND, "models", "pull", NAME],
        cwd=workspace.root,
        env=environment,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    )
    for _ in range(3000):
        if any(part.stat().st_size for part in begun_files(cache)):
            break
        hub.go_on.wait(0.01)
    begun.send_signal(signal.SIGINT)
    try:
        _, said = begun.communicate(timeout=20)
    finally:
        begun.kill()
        hub.go_on.set()
    return begun.returncode, said.decode()


def test_an_interrupted_download_is_not_listed_and_goes_on_next_time(interrupted, call, hub, cache):
    code, said = interrupted
    assert (code, "Traceback" in said) == (130, False)
    assert f"`forgellm models pull {NAME}` goes on" in said
    assert NAME not in names(call("list", "--json"))
    assert call("pull", NAME).returncode == 0
    assert spans(hub) == [0, 10 * 2**20]
    assert NAME in names(call("list", "--json"))
    assert begun_files(cache) == []


def test_bytes_that_were_changed_on_the_way_are_never_taken_for_the_model(interrupted, call, cache):
    (part,) = begun_files(cache)
    part.write_bytes(b"\1" * part.stat().st_size)
    done = call("pull", NAME)
    assert (done.returncode, "did not come as it was sent" in done.stderr) == (1, True)
    assert NAME not in names(call("list", "--json"))
    assert call("pull", NAME).returncode == 0


@pytest.mark.parametrize("changed", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_the_hub_the_reason_and_the_way_out_are_said(call, changed):
    done = call("pull", NAME, **changed)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: the Hub cannot be reached" in done.stderr
    assert "HF_HUB_OFFLINE" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["../../etc", "a b", "models/base/tiny/x", "--yes", "somebody/absent"])
def test_a_name_that_is_none_or_unknown_is_refused(call, name):
    done = call("pull", "--", name)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_model_with_code_of_its_own_is_refused_before_its_weights_come(call, hub):
    config = {**json.loads(hub.files["config.json"]), "auto_map": {"AutoModel": "modeling_tiny.Tiny"}}
    hub.files["config.json"] = json.dumps(config).encode()
    done = call("pull", NAME)
    assert done.returncode == 2
    assert "code of its own" in done.stderr
    assert "model.safetensors" not in {file for _, file, _ in hub.asked}


def test_a_model_of_pickles_alone_is_refused(call, hub):
    del hub.files["model.safetensors"]
    done = call("pull", NAME)
    assert (done.returncode, "no model.safetensors" in done.stderr) == (2, True)


def test_a_base_model_goes_to_the_trash(call, workspace):
    done = call("remove", "models/base/tiny", "--yes")
    assert done.returncode == 0, done.stderr
    assert not (workspace.base_models / "tiny").exists()
    assert len(list(workspace.trash.glob("tiny_*/models/base/tiny/config.json"))) == 1


def test_a_downloaded_model_is_deleted_whole(call, cache):
    call("pull", NAME)
    done = call("remove", NAME, "--yes")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in cache.iterdir() if "tiny" in path.name] == []


@pytest.mark.parametrize(
    "name",
    [
        "models/published",
        "models/base",
        "models",
        "models/cpt/mine",
        ".",
        "../canary",
        "/etc",
        "models/base/absent",
    ],
)
def test_nothing_but_a_model_is_removed(call, workspace, clock, name):
    shutil.copytree(workspace.base_models / "tiny", workspace.published / "answers")
    trained(workspace, clock)
    canary = workspace.root.parent / "canary"
    canary.mkdir()
    done = call("remove", name, "--yes")
    assert done.returncode == 2
    assert canary.is_dir()
    assert (workspace.models / "cpt" / "mine").is_dir()
    assert (workspace.published / "answers" / "config.json").is_file()
    assert (workspace.base_models / "tiny" / "config.json").is_file()


def test_a_model_that_a_waiting_run_needs_stays(call, workspace, clock):
    run = create_run(
        workspace,
        RunKind.CPT,
        spec={"model_name": "base/tiny"},
        name="waits",
        created=clock(),
        versions={},
        base_fingerprint=None,
    )
    done = call("remove", "models/base/tiny", "--yes")
    assert (done.returncode, run.id in done.stderr) == (2, True)
    assert (workspace.base_models / "tiny").is_dir()


def test_removing_asks_first_and_says_who_was_trained_on_it(call, workspace, environment, clock):
    run = trained(workspace, clock, model_name="models/base/tiny")
    done = call("remove", "models/base/tiny")
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    command = [*COMMAND, "models", "remove", "models/base/tiny"]
    with Terminal(command, cwd=workspace.root, environment=environment) as terminal:
        assert run.id in terminal.until("Move models/base/tiny to the trash")
        terminal.say("n")
        assert terminal.end() == 1
    assert (workspace.base_models / "tiny").is_dir()
