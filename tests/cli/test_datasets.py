"""`forgellm datasets` as people run it, with files of their own and with a Hub on loopback."""

import json
import shutil
import subprocess

import pytest

from tests.cli.conftest import COMMAND
from tests.services.fake_hub import FakeHub, serving

ROWS = "".join(json.dumps({"prompt": f"Q{n}?", "completion": f"A{n}."}) + "\n" for n in range(6))
NAME = "somebody/rows"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("place")
    (root / "workspace").mkdir()
    files = root / "files"
    (files / "valid").mkdir(parents=True)
    (files / "faq.csv").write_text('question,answer\nWhat?,"A thing,\nit is."\nWho?,\n')
    (files / "notes.md").write_text("# Notes\n\nSome.\n")
    (files / "valid" / "more.md").write_text("More.")
    (files / "picture.png").write_bytes(b"\x89PNG")
    (files / ".hidden.md").write_text("Hidden.")
    return root


@pytest.fixture(scope="module")
def call(place, worker_environment):
    """Runs `forgellm datasets ARGS` beside the files."""

    def run(*arguments, **changed):
        return subprocess.run(
            [*COMMAND, "--workspace", str(place / "workspace"), "datasets", *arguments],
            cwd=place,
            env={**worker_environment, **changed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def added(call):
    """The dataset `mine`, and what was said when it was made."""
    done = call("add", "files", "--name", "mine")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_becomes_a_dataset_and_what_was_decided_is_said(added, place):
    folder = place / "workspace" / "dataset" / "mine"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert names == [".dataset.json", "faq.csv", "notes.md", "valid/more.md"]
    assert "dataset/mine: 3 files" in added
    assert "picture.png" in added
    assert "faq.csv  46 B, train: question_answer" in added


def test_nothing_is_written_over(added, call, place):
    done = call("add", "files/notes.md", "--name", "mine")
    assert (done.returncode, "there is one of that name" in done.stderr) == (2, True)
    done = call("add", "files/notes.md", "--name", "mine", "--append")
    assert (done.returncode, "file of that name" in done.stderr) == (2, True)
    assert not list((place / "workspace" / "dataset").glob(".incoming-*"))


def test_show_tells_shapes_and_rows(added, call):
    shown = call("show", "mine").stdout
    assert "— faq.csv, line 2\n  user: What?\n  assistant: A thing, it is.\n" in shown
    assert "cannot be used: 'answer' is empty" in shown
    values = json.loads(call("show", "mine", "--json", "--problems").stdout)
    assert [row["line"] for row in values["rows"]] == [4]


def test_check_tells_what_is_wrong_and_ends_with_1(added, call):
    done = call("check", "mine")
    assert (done.returncode, "mine/faq.csv, line 4: 'answer' is empty" in done.stdout) == (1, True)


def test_a_preview_without_colour_marks_what_is_learned(call, place, tiny_model):
    shutil.copytree(tiny_model, place / "workspace" / "models" / "base" / "tiny")
    (place / "rows.jsonl").write_text(ROWS)
    assert call("add", "rows.jsonl").returncode == 0
    shown = call("preview", "rows", "--model", "models/base/tiny", "--rows", "1").stdout
    assert "— rows/rows.jsonl, line 1: " in shown
    assert "<|im_start|>user\nQ0?<|im_end|>\n<|im_start|>assistant\n⟦A0.<|im_end|>⟧" in shown


def test_remove_asks_and_restore_brings_back(added, call):
    assert call("remove", "mine").returncode == 2
    assert call("remove", "mine", "--yes").returncode == 0
    assert [one["name"] for one in json.loads(call("list", "--json").stdout)].count("mine") == 0
    assert call("restore", "mine").returncode == 0
    assert "mine" in call("list").stdout


def test_split_and_convert_write_new_datasets(added, call, place):
    (place / "ten.jsonl").write_text(ROWS)
    call("add", "ten.jsonl")
    assert "valid/ten.jsonl" in call("split", "ten", "parts", "--valid", "0.4").stdout
    done = call("convert", "mine", "talk")
    assert "dataset/talk/faq.jsonl: 1" in done.stdout
    assert "1 left out" in done.stdout


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    (folder / "train.jsonl").write_text(ROWS)
    (folder / "validation-00000-of-00001.jsonl").write_text(ROWS)
    (folder / "README.md").write_text("A card.")
    (folder / "load.py").write_text("raise SystemExit")
    made = FakeHub(folder, name=NAME, kind="datasets")
    with serving(made) as url:
        made.url = url
        yield made


@pytest.fixture(scope="module")
def environment(hub, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": cache, "NO_PROXY": "127.0.0.1"}


def test_a_dataset_of_the_hub_comes_with_its_rows_alone(call, environment, hub, place):
    done = call("add", f"hf:{NAME}", "--name", "fetched", **environment)
    assert done.returncode == 0, done.stderr
    folder = place / "workspace" / "dataset" / "fetched"
    assert sorted(p.name for p in folder.iterdir()) == [
        ".dataset.json",
        "train.jsonl",
        "validation-00000-of-00001.jsonl",
    ]
    assert json.loads((folder / ".dataset.json").read_text())["source"]["name"] == NAME
    assert "valid: prompt_completion" in done.stdout
    before = len(hub.asked)
    assert call("add", f"hf:{NAME}", "--name", "again", **environment).returncode == 0
    assert "GET" not in {method for method, _, _ in hub.asked[before:]}


def test_without_the_hub_nothing_is_added_and_the_way_out_is_said(call, environment, place):
    done = call(
        "add", f"hf:{NAME}", "--name", "nothing", **{**environment, "HF_ENDPOINT": "http://127.0.0.1:9"}
    )
    assert (done.returncode, "the Hub cannot be reached" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    assert not (place / "workspace" / "dataset" / "nothing").exists()


@pytest.mark.parametrize("wish", ["hf:../../etc", "hf:a b", "hf:somebody/absent", "absent.txt"])
def test_what_is_none_or_unknown_is_refused(call, environment, wish):
    done = call("add", wish, **environment)
    assert (done.returncode, done.stdout) == (2, "")


def test_only_files_like_the_pattern_are_fetched(call, environment, place):
    done = call("add", f"hf:{NAME}", "--include", "train*", "--name", "train_only", **environment)
    assert done.returncode == 0, done.stderr
    assert not (place / "workspace" / "dataset" / "train_only" / "validation-00000-of-00001.jsonl").exists()
