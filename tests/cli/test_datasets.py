"""`forgellm datasets` over files of people's own, and with a Hub on loopback."""

import json
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from forgellm.cli.context import Invocation
from forgellm.cli.lazy import LazyGroup
from forgellm.cli.main import COMMANDS
from forgellm.forge import Forge
from forgellm.settings import Settings
from tests.cli.conftest import COMMAND
from tests.services.fake_hub import FakeHub, serving

ROWS = "".join(json.dumps({"prompt": f"Q{n}?", "completion": f"A{n}."}) + "\n" for n in range(6))
NAME = "somebody/rows"


@dataclass(frozen=True)
class Kept(Invocation):
    """Calls that share what looks into datasets: starting it takes a second."""

    opened: Forge | None = None

    def forge(self) -> Forge:
        assert self.opened is not None
        return self.opened


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
def forge(place, hub_cache, tiny_model):
    shutil.copytree(tiny_model, place / "workspace" / "models" / "base" / "tiny")
    opened = Forge(Settings(workspace=place / "workspace", hub_cache=hub_cache))
    yield opened
    opened.inspections.close()


@pytest.fixture(scope="module")
def call(forge):
    """Runs `forgellm datasets ARGS` in this process."""
    root = LazyGroup(name="forgellm", commands_at=COMMANDS)

    def run(*arguments):
        return CliRunner().invoke(root, ["datasets", *map(str, arguments)], obj=Kept(opened=forge))

    return run


@pytest.fixture(scope="module")
def added(call, place):
    """The dataset `mine`, and what was said when it was made."""
    done = call("add", place / "files", "--name", "mine")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def dataset(forge):
    """Makes a dataset of texts by file name."""
    made = []

    def make(name, **files):
        folder = forge.workspace.datasets / name
        folder.mkdir(parents=True)
        made.append(folder)
        for file, text in files.items():
            (folder / file.replace("_", ".")).write_text(text)
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder)


def test_a_folder_becomes_a_dataset_and_what_was_decided_is_said(added, place):
    folder = place / "workspace" / "dataset" / "mine"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert names == [".dataset.json", "faq.csv", "notes.md", "valid/more.md"]
    assert "dataset/mine: 3 files" in added
    assert "picture.png" in added
    assert "faq.csv  46 B, train: question_answer" in added
    assert "  read as cells between commas, the first row names the columns" in added


def test_what_no_reader_is_for_is_refused_with_what_there_are_readers_for(call, place):
    done = call("add", place / "files" / "picture.png", "--name", "pictures")
    assert done.exit_code == 2
    # Languages are not counted up one by one.
    assert done.stderr.endswith(".epub and source code.\n")
    assert ".asm" not in done.stderr


def test_nothing_is_written_over(added, call, place):
    notes = place / "files" / "notes.md"
    done = call("add", notes, "--name", "mine")
    assert (done.exit_code, "there is one of that name" in done.stderr) == (2, True)
    done = call("add", notes, "--name", "mine", "--append")
    assert (done.exit_code, "file of that name" in done.stderr) == (2, True)
    assert not list((place / "workspace" / "dataset").glob(".incoming-*"))


def test_show_tells_shapes_and_rows(added, call):
    shown = call("show", "mine").stdout
    assert "— faq.csv, line 2\n  user: What?\n  assistant: A thing, it is.\n" in shown
    assert "cannot be used: 'answer' is empty" in shown
    values = json.loads(call("show", "mine", "--json", "--problems").stdout)
    assert [row["line"] for row in values["rows"]] == [4]


def test_check_tells_what_is_wrong_and_how_to_go_on_and_ends_with_1(added, call):
    done = call("check", "mine")
    assert (done.exit_code, "mine/faq.csv, line 4: 'answer' is empty" in done.stdout) == (1, True)
    assert "forgellm datasets exclude mine --refused" in done.stdout


def test_a_file_with_the_longest_name_is_split(call, dataset):
    folder = dataset("long")
    for last in "ab":
        (folder / f"{'n' * 250}{last}.csv").write_text("question,answer\n" + "Who?,Ada\nWhen?,Now\n" * 2)
    done = call("split", "long", "long_parts", "--valid", "0.4")
    assert (done.exit_code, done.stdout.count(f"/{'n' * 240}")) == (0, 4)
    assert call("remove", "long_parts", "--yes").exit_code == 0


def test_links_that_lead_nowhere_are_named_and_can_be_left_out(call, dataset, place):
    folder = dataset("linked", rows_jsonl=ROWS, blank_md="  \n")
    for name, target in [("a.csv", "nowhere"), ("b.json", "b.json"), ("c.txt", "nowhere"), ("valid", place)]:
        (folder / name).symlink_to(target)
    shown = call("show", "linked")
    assert shown.exit_code == 0
    assert "a.csv  0 B, train: not recognised" in shown.stdout
    assert "is left out, because it has no text" in call("show", "linked", "--file", "blank.md").stdout
    assert "linked/valid: is a link to a place outside the dataset" in call("check", "linked").stdout
    assert call("exclude", "linked", "--refused").exit_code == 0
    assert call("check", "linked").exit_code == 0


def test_the_name_of_a_file_says_nothing_to_the_terminal_and_has_one_line(call, dataset):
    hostile = "a\nError: b\x1b[31m\u202e"
    folder = dataset("odd")
    (folder / f"{hostile}.jsonl").write_text('{"prompt": "Q"}\n' + ROWS)
    (folder / f"{hostile}.txt").write_text("The market is held on Monday. " * 20)
    said = [
        call("show", "odd"),
        call("check", "odd"),
        call("preview", "odd", "--model", "models/base/tiny"),
        call("exclude", "odd", "--refused"),
        call("exclude", "odd", f"{hostile}.jsonl", "2"),
        call("include", "odd", f"{hostile}.jsonl", "2"),
        call("split", "odd", "odd_parts", "--valid", "0.4"),
    ]
    for one in said:
        assert "a\\nError: b\\x1b[31m\\u202e." in one.stdout
        assert not {"\x1b", "\u202e"} & set(one.output)
        assert not [line for line in one.output.splitlines() if line.startswith("Error: b")]
    assert call("remove", "odd_parts", "--yes").exit_code == 0


def test_a_preview_without_colour_marks_what_is_learned(call, dataset):
    dataset("rows", rows_jsonl=ROWS)
    shown = call("preview", "rows", "--model", "models/base/tiny", "--rows", "1").stdout
    assert "— rows/rows.jsonl, line 1: " in shown
    assert "<|im_start|>user\nQ0?<|im_end|>\n<|im_start|>assistant\n⟦A0.<|im_end|>⟧" in shown


def test_a_check_tells_how_often_a_run_of_either_kind_sees_everything(call, dataset):
    dataset("both", rows_jsonl=ROWS, notes_md="Notes. " * 500)
    short = ["--model", "models/base/tiny", "--max-seq-length", "32"]
    asked = ["check", "both", *short, "--max-iterations", "6", "--batch-size", "2"]
    assert "6 iterations of ift are 2.00 epochs" in call(*asked, "--training-type", "ift").stdout
    said = [call(*asked, *more).stdout for more in ([], ["--training-type", "cpt"])]
    assert said[0] == said[1]
    assert "6 iterations of cpt are" in said[0]


def test_columns_are_mapped_as_the_problem_says_and_the_file_may_speak_for_itself_again(call, dataset):
    dataset("faq", faq_csv="Frage,Antwort\nWas?,Das.\n")
    assert "forgellm datasets map faq faq.csv prompt=COLUMN completion=COLUMN" in call("show", "faq").stdout
    shown = call("map", "faq", "faq.csv", "prompt=Frage", "completion=Antwort").stdout
    assert "prompt in 'Frage', completion in 'Antwort' (by hand)" in shown
    assert "  user: Was?\n  assistant: Das.\n" in shown
    assert call("check", "faq").exit_code == 0
    assert "not recognised" in call("map", "faq", "faq.csv", "--recognise").stdout


def test_columns_of_cells_may_be_mapped_by_number_and_then_no_row_names_them(call, dataset):
    dataset("faq", faq_csv="Was,Das\nWer,Der\n")
    shown = call("map", "faq", "faq.csv", "prompt=column 1", "completion=column 2").stdout
    assert "— faq.csv, line 1\n  user: Was\n" in shown
    shown = call("map", "faq", "faq.csv", "prompt=Was", "completion=Das").stdout
    assert "— faq.csv, line 2\n  user: Wer\n" in shown


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["faq.csv", "prompt=Frag", "completion=Antwort"], "Did you mean 'Frage'?"),
        (["faq.csv", "promt=Frage"], "Did you mean 'prompt'?"),
        (["faq.csv", "prompt=Frage"], "Name the shape"),
        (["faq.csv", "--shape", "mesages"], "Did you mean 'messages'?"),
        (["fag.csv", "text=Frage"], "no file 'fag.csv'"),
        (["notes.md", "text=Frage"], "is a document"),
        (["faq.csv", "Frage"], "is not PART=COLUMN"),
        (["faq.csv"], "--recognise"),
        (["faq.csv", "text=Frage", "--recognise"], "--recognise"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_and_changes_nothing(call, dataset, wish, said):
    folder = dataset("faq", faq_csv="Frage,Antwort\nWas?,Das.\n", notes_md="Notes.")
    done = call("map", "faq", *wish)
    assert (done.exit_code, said in done.stderr) == (2, True), done.output
    assert not (folder / ".dataset.json").exists()


def test_rows_and_documents_are_left_out_and_taken_back(call, dataset):
    dataset("ten", rows_jsonl=ROWS, notes_md="Notes.")
    assert call("exclude", "ten", "rows.jsonl", "1", "3-4").stdout == "rows.jsonl: 3 rows left out\n"
    assert call("exclude", "ten", "notes.md").exit_code == 0
    assert "notes.md  6 B, a document (left out)" in call("show", "ten").stdout
    assert "7 rows and documents: 3 can be used, 0 cannot, 4 left out" in call("check", "ten").stdout
    left = call("include", "ten", "rows.jsonl", "3")
    assert left.stdout == "Still left out:\nrows.jsonl: 2 rows left out\nnotes.md: all of it left out\n"
    assert call("include", "ten").stdout == "Nothing is left out.\n"


def test_whatever_cannot_be_used_is_left_out_at_once(call, dataset):
    folder = dataset("odd", faq_csv="question,answer\nWhat?,\nWho?,I.\n", rows_jsonl='{"a": 1}\n{"a": 2}\n')
    (folder / "bad.txt").write_bytes(b"caf\xe9\x00 au lait")
    (folder / "good.md").write_text("Good.")
    assert call("exclude", "odd", "faq.csv", "--refused").stdout == "faq.csv: 1 row left out\n"
    said = call("exclude", "odd", "--refused").stdout.splitlines()
    assert said == ["bad.txt: all of it left out", "rows.jsonl: all of it left out"]
    done = call("check", "odd")
    assert (done.exit_code, "2 can be used, 0 cannot" in done.stdout) == (0, True), done.stdout
    assert call("exclude", "odd", "--refused").stdout == "Nothing to leave out: every row can be used.\n"


def test_a_model_tells_which_rows_its_template_refuses(call, dataset, place, tiny_model):
    strict = shutil.copytree(tiny_model, place / "workspace" / "models" / "base" / "strict")
    settings = json.loads((strict / "tokenizer_config.json").read_text())
    refusal = "{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}"
    settings["chat_template"] = refusal + settings["chat_template"]
    (strict / "tokenizer_config.json").write_text(json.dumps(settings))
    said = [{"role": role, "content": "So."} for role in ("user", "assistant") * 2]
    dataset("said", rows_jsonl=ROWS + json.dumps({"messages": said}))
    assert "Nothing to leave out" in call("exclude", "said", "--refused").stdout
    done = call("exclude", "said", "--refused", "--model", "models/base/strict")
    assert done.stdout == "rows.jsonl: 1 row left out\n"
    assert call("check", "said", "--model", "models/base/strict").exit_code == 0


def test_rows_that_share_a_line_with_bad_ones_are_not_left_out_with_them(call, dataset):
    folder = dataset("one", rows_json='[{"prompt": "a", "completion": "b"}, {"prompt": "c"}]')
    done = call("exclude", "one", "--refused")
    assert (done.exit_code, "forgellm datasets convert one NEW_NAME" in done.stderr) == (2, True)
    assert not (folder / ".dataset.json").exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["rows.jsonl", "9"], "begins on line 9"),
        (["rows.jsonl", "0"], "no line such as 7"),
        (["rows.jsonl", "4-2"], "no line such as 7"),
        (["rows.jsonl", "1-99999999999"], "more than 1,000,000 lines"),
        (["rows.jsonl", "2", "--refused"], "--refused"),
        (["rows.jsonl", "--model", "models/base/tiny"], "--model is for --refused"),
        (["notes.md", "2"], "is a document"),
        (["row.jsonl"], "Did you mean rows.jsonl?"),
        (["row.jsonl", "--refused"], "no file 'row.jsonl'"),
        ([], "--refused"),
    ],
)
def test_leaving_out_what_is_not_there_is_refused(call, dataset, wish, said):
    folder = dataset("ten", rows_jsonl=ROWS, notes_md="Notes.")
    done = call("exclude", "ten", *wish)
    assert (done.exit_code, said in done.stderr) == (2, True), done.output
    assert not (folder / ".dataset.json").exists()


def test_taking_back_what_was_not_left_out_is_refused(call, dataset):
    dataset("ten", rows_jsonl=ROWS)
    assert "nothing of 'rows.jsonl' is left out" in call("include", "ten", "rows.jsonl", "3").stderr
    call("exclude", "ten", "rows.jsonl")
    assert "is left out as a whole" in call("include", "ten", "rows.jsonl", "3").stderr


def test_a_decision_about_a_file_that_has_gone_hinders_nobody(call, dataset):
    folder = dataset("ten", rows_jsonl=ROWS, faq_csv="question,answer\nWhat?,That.\n")
    call("exclude", "ten", "faq.csv")
    (folder / "faq.csv").unlink()
    assert call("exclude", "ten", "rows.jsonl", "1").exit_code == 0


def test_remove_asks_and_restore_brings_back(added, call):
    assert call("remove", "mine").exit_code == 2
    assert call("remove", "mine", "--yes").exit_code == 0
    assert [one["name"] for one in json.loads(call("list", "--json").stdout)].count("mine") == 0
    assert call("restore", "mine").exit_code == 0
    assert "mine" in call("list").stdout


def test_split_and_convert_write_new_datasets(added, call, dataset):
    dataset("ten", ten_jsonl=ROWS)
    assert "valid/ten.jsonl" in call("split", "ten", "parts", "--valid", "0.4").stdout
    done = call("convert", "mine", "talk")
    assert "dataset/talk/faq.jsonl: 1" in done.stdout
    assert "1 left out" in done.stdout


def test_the_encoding_of_what_is_not_utf8_may_be_said(call, dataset, forge):
    folder = dataset("old", other_csv="question,answer\nÜ?,Ö.\n")
    (folder / "faq.csv").write_bytes("question,answer\nWo?,Köln.\n".encode("cp1252"))
    assert "--to utf8" in call("check", "old").stdout
    assert "1 left out" in call("convert", "old", "guessed", "--to", "utf8").stdout
    assert call("convert", "old", "said", "--to", "utf8", "--encoding", "cp1252").exit_code == 0
    assert (forge.workspace.datasets / "said" / "faq.csv").read_text() == "question,answer\nWo?,Köln.\n"
    assert call("check", "said").exit_code == 0
    for wish in (["--to", "utf8", "--encoding", "cp9999"], ["--to", "messages", "--encoding", "cp1252"]):
        done = call("convert", "old", "never", *wish)
        assert (done.exit_code, "encoding" in done.stderr) == (2, True)


def test_what_was_decided_holds_for_what_is_made_of_it(call, dataset, forge):
    rows = "".join(f"Was ist {n}?,Es ist {n}.\n" for n in range(10))
    dataset("mapped", faq_csv="Frage,Antwort\n" + rows)
    call("map", "mapped", "faq.csv", "prompt=Frage", "completion=Antwort")
    call("exclude", "mapped", "faq.csv", "2")
    (forge.workspace.datasets / "mapped" / "faq.jsonl").write_text(ROWS)
    assert call("split", "mapped", "two", "--valid", "0.3").exit_code == 0
    assert "15 rows and documents: 15 can be used" in call("check", "two").stdout
    assert call("convert", "mapped", "copied", "--to", "utf8").exit_code == 0
    assert "15 can be used, 0 cannot, 1 left out by hand" in call("check", "copied").stdout


@pytest.mark.parametrize("wish", ["hf:../../etc", "hf:a b", "absent.txt"])
def test_what_is_none_is_refused(call, wish):
    done = call("add", wish)
    assert (done.exit_code, done.stdout) == (2, "")


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
def add(place, worker_environment, hub, tmp_path_factory):
    """Runs `datasets add ARGS` as people do: a process knows from its beginning where the Hub is."""
    cache = str(tmp_path_factory.mktemp("cache"))
    known = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": cache, "NO_PROXY": "127.0.0.1"}

    def run(*arguments, **changed):
        return subprocess.run(
            [*COMMAND, "--workspace", str(place / "workspace"), "datasets", "add", *arguments],
            env={**worker_environment, **known, **changed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_a_dataset_of_the_hub_comes_with_its_rows_alone_and_its_files_once(add, hub, place):
    done = add(f"hf:{NAME}", "--name", "fetched")
    assert done.returncode == 0, done.stderr
    folder = place / "workspace" / "dataset" / "fetched"
    files = sorted(p.name for p in folder.iterdir())
    assert files == [".dataset.json", "train.jsonl", "validation-00000-of-00001.jsonl"]
    assert json.loads((folder / ".dataset.json").read_text())["source"]["name"] == NAME
    assert "valid: prompt_completion" in done.stdout
    before = len(hub.asked)
    done = add(f"hf:{NAME}", "--include", "train*", "--name", "train_only")
    assert done.returncode == 0, done.stderr
    assert "GET" not in {method for method, _, _ in hub.asked[before:]}
    assert not (folder.parent / "train_only" / "validation-00000-of-00001.jsonl").exists()


def test_what_the_hub_does_not_know_is_refused(add):
    done = add("hf:somebody/absent")
    assert (done.returncode, done.stdout) == (2, "")


def test_without_the_hub_nothing_is_added_and_the_way_out_is_said(add, place):
    done = add(f"hf:{NAME}", "--name", "nothing", HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, "the Hub cannot be reached" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    assert not (place / "workspace" / "dataset" / "nothing").exists()
