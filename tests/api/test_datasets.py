"""What the API tells of a dataset, and what it lets one decide about it."""

import json
import shutil
import threading

import pytest
from werkzeug.test import Client

from forgellm.api.access import access
from forgellm.domain.runs import RunKind
from forgellm.forge import Forge
from forgellm.settings import Settings
from forgellm.storage.runs import create_run, move_to_trash
from forgellm.web.app import create_app
from tests.api.conftest import ask
from tests.api.test_routes import assert_error
from tests.conftest import question_rows

FAQ = "question,answer,note\nWhat is it?,A thing.,x\nAnd that?,,y\nWhat is it?,A thing.,z\n"


@pytest.fixture(scope="module")
def forge(tmp_path_factory, tiny_model, hub_cache):
    """One for all tests here: what looks into datasets takes a second to start."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copytree(tiny_model, root / "models" / "base" / "tiny")
    opened = Forge(Settings(workspace=root, hub_cache=hub_cache))
    yield opened
    opened.inspections.close()


@pytest.fixture
def client(forge):
    """Whatever a test leaves in the datasets is gone for the next one."""
    datasets = forge.workspace.datasets
    (datasets / "questions").mkdir(parents=True)
    rows = "".join(json.dumps(row) + "\n" for row in question_rows())
    (datasets / "questions" / "train.jsonl").write_text(rows)
    (datasets / "domain").mkdir()
    for number in range(10):
        (datasets / "domain" / f"{number}.md").write_text(f"# Page {number}\n\n" + f"Word{number} " * 50)
    yield Client(create_app(forge, access("127.0.0.1", 5002, allow=(), token=None)).wsgi)
    shutil.rmtree(datasets)


@pytest.fixture
def faq(forge, client):
    """A file of rows, one of which is wrong and one a duplicate, and a document."""
    folder = forge.workspace.datasets / "faq"
    folder.mkdir()
    (folder / "faq.csv").write_text(FAQ)
    (folder / "about.md").write_text("# About\n\nIt is about things.\n")
    return folder


def get(client, path):
    response = ask(client, "GET", f"/api/datasets/{path}")
    assert response.status_code == 200, response.get_json()
    return response.get_json()


def finished(client, path):
    tick = threading.Event()
    for _ in range(600):
        answer = get(client, path)
        if answer["state"] != "running":
            return answer
        tick.wait(0.05)
    raise AssertionError(answer)


def test_the_files_are_told_with_their_shapes_and_why(client, faq):
    answer = get(client, "faq")
    (file,) = answer["files"]
    assert (file["file"], file["shape"], file["part"]) == ("faq.csv", "question_answer", "train")
    assert "'question'" in file["reason"]
    assert file["layout"] == "cells between commas, the first row names the columns"
    assert answer["documents"] == [{"file": "about.md", "size_bytes": 29}]


def test_rows_are_shown_as_they_are_and_as_what_they_come_to(client, faq):
    first, wrong, _ = get(client, "faq/rows")["rows"]
    assert (first["line"], first["values"]) == (
        2,
        {"question": "What is it?", "answer": "A thing.", "note": "x"},
    )
    assert [message["role"] for message in first["messages"]] == ["user", "assistant"]
    assert (wrong["line"], wrong["problem"]["reason"]) == (3, "'answer' is empty")
    page = get(client, "faq/rows?offset=1&limit=1")
    assert ([row["line"] for row in page["rows"]], page["more"]) == ([3], True)
    assert [row["line"] for row in get(client, "faq/rows?problems=1")["rows"]] == [3]


def test_documents_are_shown_by_their_beginning(client, faq):
    (row,) = get(client, "faq/rows?file=about.md")["rows"]
    assert row["text"].startswith("# About")
    assert row["values"]["kind"] == "markdown"


def test_a_decision_changes_what_rows_come_to_and_can_be_taken_back(client, faq):
    path = "/api/datasets/faq/decisions"
    decided = {
        "shapes": {"faq.csv": "prompt_completion"},
        "columns": {"faq.csv": {"prompt": "note", "completion": "question"}},
        "excluded": {"faq.csv": [4, 4]},
    }
    answer = ask(client, "PUT", path, json=decided).get_json()
    assert answer["decisions"]["excluded"] == {"faq.csv": [4]}
    rows = get(client, "faq/rows")["rows"]
    assert [message["content"] for message in rows[0]["messages"]] == ["x", "What is it?"]
    assert [row["excluded"] for row in rows] == [False, False, True]
    assert get(client, "faq")["files"][0]["by_hand"] is True
    ask(client, "PUT", path, json={"shapes": {}, "columns": {}, "excluded": {}})
    assert get(client, "faq")["files"][0]["shape"] == "question_answer"


@pytest.mark.parametrize(
    "wish",
    [
        {"shapes": {"faq.csv": "proverb"}},
        {"shapes": {"fag.csv": "messages"}},
        {"columns": {"faq.csv": {"quesion": "note"}}},
        {"columns": {"../x": {"prompt": "note"}}},
        {"excluded": {"nothing.csv": [1]}},
        {"excluded": {"faq.csv": [-1]}},
        {"excluded": {"about.md": [3]}},
        {"columns": {"about.md": {"text": "x"}}},
        {"excluded": {"faq.csv": ["2"]}},
        {"column": {}},
    ],
)
def test_a_decision_that_makes_no_sense_is_refused_and_changes_nothing(client, faq, wish):
    assert_error(ask(client, "PUT", "/api/datasets/faq/decisions", json=wish), 400, "INVALID_FIELD")
    assert not (faq / ".dataset.json").exists()


def test_whatever_cannot_be_used_is_left_out_at_once(client, faq):
    path = "/api/datasets/faq/decisions"
    assert (
        ask(client, "POST", path, json={"exclude": "refused", "file": "about.md"}).get_json()["left_out"]
        == {}
    )
    assert ask(client, "POST", path, json={"exclude": "refused"}).get_json()["left_out"] == {"faq.csv": [3]}
    assert [row["excluded"] for row in get(client, "faq/rows")["rows"]] == [False, True, False]
    assert_error(ask(client, "POST", path, json={"exclude": "all"}), 400, "INVALID_FIELD")
    assert_error(ask(client, "POST", path, json={"exclude": "refused", "file": "x"}), 404, "PATH_NOT_FOUND")


def test_a_report_is_made_in_the_background_and_kept_until_something_changes(client, faq):
    assert get(client, "faq/report")["state"] == "absent"
    assert ask(client, "POST", "/api/datasets/faq/report").get_json()["state"] in ("running", "done")
    report = finished(client, "faq/report")["report"]
    assert (report["rows"], report["usable"], report["refused"]) == (4, 3, 1)
    assert report["duplicates"]["count"] == 1
    assert report["problems"][0]["line"] == 3
    listed = {
        one["name"]: one["num_examples"] for one in ask(client, "GET", "/api/datasets").get_json()["datasets"]
    }
    assert listed["faq"] == 3
    (faq / "more.md").write_text("More.")
    assert get(client, "faq/report")["state"] == "absent"


def test_the_making_of_a_report_is_cancelled(client, forge):
    folder = forge.workspace.datasets / "many"
    folder.mkdir()
    rows = "".join(json.dumps({"text": f"Row {n} of many."}) + "\n" for n in range(20_000))
    (folder / "train.jsonl").write_text(rows)
    assert ask(client, "POST", "/api/datasets/many/report").get_json()["state"] == "running"
    *_, work = (thread for thread in threading.enumerate() if thread.name == "inspection")
    path = "/api/datasets/many/report"
    assert ask(client, "DELETE", path).get_json()["message"] == "The report is not made"
    assert get(client, "many/report")["state"] == "absent"
    work.join(60)
    assert get(client, "many/report")["state"] == "absent"
    assert ask(client, "DELETE", path).get_json()["message"] == "No report was being made"


def test_a_report_that_cannot_be_made_says_why(client, faq, forge):
    broken = forge.workspace.base_models / "broken"
    shutil.copytree(forge.workspace.base_models / "tiny", broken)
    (broken / "tokenizer.json").write_text("{")
    asked = "faq/report?model=models/base/broken"
    response = ask(client, "POST", f"/api/datasets/{asked}")
    if response.status_code == 200:
        answer = finished(client, asked)
        assert (answer["state"], answer["failure"]["code"]) == ("failed", "INVALID_MODEL")
    else:
        assert_error(response, 422, "INVALID_MODEL")
    assert get(client, "faq/rows")["rows"]


def test_a_preview_tells_what_is_learned_token_by_token(client, forge):
    answer = get(client, "questions/preview?model=models/base/tiny&limit=2")
    assert (len(answer["rows"]), answer["more"]) == (2, True)
    pieces = answer["rows"][0]["pieces"]
    learned = "".join(piece["text"] for piece in pieces if piece["learned"])
    assert learned.startswith("The rope market of Alder Quay is held every Monday.")
    assert "When is" in "".join(piece["text"] for piece in pieces if not piece["learned"])
    cut = get(client, "questions/preview?model=models/base/tiny&limit=1&max_seq_length=20")["rows"][0]
    assert (len(cut["pieces"]), cut["cut"]) == (20, len(pieces) - 20)


@pytest.mark.parametrize("wish", ["chunk_overlap=11&max_seq_length=20", "max_seq_length=513"])
def test_a_preview_of_what_no_run_would_do_is_refused(client, wish):
    path = f"/api/datasets/domain/preview?model=models/base/tiny&{wish}"
    assert_error(ask(client, "GET", path), 400, "INVALID_FIELD")


def test_a_report_with_a_model_counts_tokens_and_lengths(client, forge):
    asked = "questions/report?model=models/base/tiny&max_seq_length=20"
    ask(client, "POST", f"/api/datasets/{asked}")
    report = finished(client, asked)["report"]
    assert report["tokens"]["total"] > 40 * 20
    assert report["trained_on"]["examples"]["count"] == report["trained_on"]["example_sequences"] == 40
    assert report["trained_on"]["examples"]["cut"] > 0
    assert report["trained_on"]["documents"] is None
    passes = get(client, f"{asked}&max_iterations=18&batch_size=4")["passes"]
    counts = {"sequences": 36, "batches_per_epoch": 9, "iterations": 18, "epochs": 2.0}
    assert passes == {"training_type": "ift", **counts}


def test_rows_become_messages_in_a_new_dataset(client, faq, forge):
    answer = ask(
        client, "POST", "/api/datasets/faq/convert", json={"name": "talk", "to": "messages"}
    ).get_json()
    assert (answer["written"], answer["left_out"]) == ({"faq.jsonl": 2}, 1)
    assert [p["line"] for p in answer["problems"] if p["severity"] == "error"] == [3]
    rows = (forge.workspace.datasets / "talk" / "faq.jsonl").read_text().splitlines()
    assert json.loads(rows[0])["messages"][1] == {"role": "assistant", "content": "A thing."}
    again = ask(client, "POST", "/api/datasets/faq/convert", json={"name": "talk", "to": "messages"})
    assert_error(again, 409, "DATASET_CONFLICT")
    assert get(client, "talk")["decisions"]["source"]["from"] == "faq"


def test_transcripts_become_examples(client, faq, forge):
    (faq / "chat.txt").write_text("Q> Who?\nA> Me.\nQ> Why?\nA> Because.\n")
    wish = {"name": "said", "to": "transcripts", "patterns": {"user": ["Q>"], "assistant": ["A>"]}}
    answer = ask(client, "POST", "/api/datasets/faq/convert", json=wish).get_json()
    assert answer["written"] == {"train.jsonl": 1}
    (row,) = (forge.workspace.datasets / "said" / "train.jsonl").read_text().splitlines()
    assert [m["content"] for m in json.loads(row)["messages"]] == ["Who?", "Me.", "Why?", "Because."]
    unknown = ask(client, "POST", "/api/datasets/domain/convert", json={"name": "no", "to": "transcripts"})
    assert_error(unknown, 400, "INVALID_DATASET")
    assert not (forge.workspace.datasets / "no").exists()


def test_texts_become_utf_8(client, faq, forge):
    (faq / "old.jsonl").write_bytes('{"prompt": "Grüße?", "completion": "Ja, ß"}\n'.encode("utf-16"))
    ask(client, "POST", "/api/datasets/faq/convert", json={"name": "new", "to": "utf8"})
    assert "Grüße" in (forge.workspace.datasets / "new" / "old.jsonl").read_text(encoding="utf-8")
    assert (forge.workspace.datasets / "new" / "faq.csv").read_text() == FAQ


def test_a_split_keeps_equal_rows_together_and_leaves_the_source_as_it_is(client, forge):
    before = (forge.workspace.datasets / "questions" / "train.jsonl").read_bytes()
    row = json.dumps({"prompt": "Again?", "completion": "Again."}) + "\n"
    (forge.workspace.datasets / "questions" / "train.jsonl").write_bytes(before + row.encode() * 8)
    wish = {"name": "parts", "valid": 0.2, "heldout": 0.2}
    written = ask(client, "POST", "/api/datasets/questions/split", json=wish).get_json()["written"]
    assert set(written) == {"train.jsonl", "valid/train.jsonl", "heldout/train.jsonl"}
    assert sum(written.values()) == 48
    folder = forge.workspace.datasets / "parts"
    sides = [name for name in written if "Again?" in (folder / name).read_text()]
    assert len(sides) == 1
    documents = ask(client, "POST", "/api/datasets/domain/split", json={"name": "papers"}).get_json()
    assert documents["written"].keys() == {"*.md", "valid/*.md"}


@pytest.mark.parametrize(
    "wish", [{"valid": 0.6, "heldout": 0.6}, {"valid": 0.0}, {"name": "../x"}, {"name": "."}]
)
def test_a_split_that_makes_no_sense_is_refused(client, wish):
    response = ask(client, "POST", "/api/datasets/questions/split", json={"name": "parts", **wish})
    assert_error(response, 400, "INVALID_FIELD")


def test_a_dataset_goes_to_the_trash_and_comes_back(client, forge):
    before = sorted(p.name for p in (forge.workspace.datasets / "domain").iterdir())
    answer = ask(client, "DELETE", "/api/datasets/domain").get_json()
    assert not (forge.workspace.datasets / "domain").exists()
    ask(client, "POST", answer["restore"])
    assert sorted(p.name for p in (forge.workspace.datasets / "domain").iterdir()) == before
    assert_error(ask(client, "POST", answer["restore"]), 404, "DATASET_NOT_FOUND")
    assert_error(ask(client, "DELETE", "/api/datasets/nothing"), 404, "DATASET_NOT_FOUND")


@pytest.mark.parametrize("spelled", ["domain", "dataset/domain/", "./domain"])
def test_a_dataset_that_a_waiting_run_needs_stays(client, forge, spelled):
    run = create_run(
        forge.workspace,
        RunKind.CPT,
        spec={"dataset": spelled, "model_name": "base/tiny"},
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )
    body = assert_error(ask(client, "DELETE", "/api/datasets/domain"), 409, "DATASET_CONFLICT")
    assert body["details"]["run"] == run.id
    move_to_trash(forge.workspace, run)


@pytest.mark.parametrize(
    "name", ["/etc", "../..", ".", "", "..", "%2e%2e", ".forgellm", "a/b", "a%0ab", "domain/.."]
)
def test_nothing_is_removed_but_a_dataset_by_its_name(client, forge, name):
    canary = forge.workspace.root.parent / "canary"
    canary.mkdir(exist_ok=True)
    before = sorted(forge.workspace.root.rglob("*"))
    assert_error(ask(client, "DELETE", f"/api/datasets/{name}"), 400)
    assert canary.is_dir()
    assert sorted(forge.workspace.root.rglob("*")) == before


@pytest.mark.parametrize("place", ["", "/rows", "/report", "/preview?model=models/base/tiny"])
def test_what_is_not_there_is_said_to_be_missing(client, place):
    assert_error(ask(client, "GET", f"/api/datasets/nothing{place}"), 404, "DATASET_NOT_FOUND")


def test_a_file_that_the_dataset_does_not_have_has_no_rows(client, faq):
    assert_error(ask(client, "GET", "/api/datasets/faq/rows?file=../../x.jsonl"), 404, "PATH_NOT_FOUND")


def test_an_inspection_process_that_is_killed_costs_its_question_alone(client, faq, forge):
    get(client, "faq/rows")
    forge.inspections.close()
    assert len(get(client, "faq/rows")["rows"]) == 3
