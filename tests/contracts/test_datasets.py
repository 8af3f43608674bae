"""What ModelForge and Sienn-AI document about datasets, example by example, on a live server."""

from __future__ import annotations

import json

import pytest
import requests

from tests.contracts.shape import differences
from tests.servers import running_server

UPLOADED = {
    "status": "uploaded",
    "filename": "dataset.jsonl",
    "num_examples": 1000,
    "validation": {"valid": True, "errors": []},
}
DATASETS = {
    "datasets": [
        {
            "filename": "dataset.jsonl",
            "num_examples": 1000,
            "size_mb": 5.2,
            "uploaded_at": "2024-01-15T10:00:00Z",
        }
    ]
}
SIENN_UPLOADED = {
    "dataset_id": "ds_abc123",
    "filename": "training_data.csv",
    "format": "csv",
    "total_samples": 5000,
    "size_bytes": 1048576,
    "preview": [
        {
            "instruction": "What is Python?",
            "input": "",
            "output": "Python is a high-level programming language...",
        }
    ],
    "validation": {
        "valid": True,
        "columns": ["instruction", "input", "output"],
        "null_counts": {"instruction": 0, "input": 120, "output": 0},
    },
    "uploaded_at": "2025-11-04T10:35:00Z",
}
ROWS = [{"prompt": f"What is {n}?", "completion": f"It is {n}."} for n in range(10)]
TABLE = "instruction,input,output\nWhat is Python?,,A language.\nAnd this?,a snake,An animal.\nWhy?,,\n"


@pytest.fixture(scope="module")
def server(worker_environment, tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("workspace"), worker_environment) as running:
        yield running


def sent(server, path, file, text, **fields):
    return requests.post(server.url + path, files={"file": (file, text.encode())}, data=fields, timeout=60)


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_modelforge_upload_and_list(server):
    answer = sent(server, "/api/upload_dataset", "dataset.jsonl", lines(ROWS)).json()
    assert differences(UPLOADED, answer) == []
    assert (answer["filename"], answer["num_examples"]) == ("dataset.jsonl", 10)
    assert answer["validation"] == {"valid": True, "errors": []}
    listed = server.get("/api/datasets").json()
    assert differences(DATASETS, listed) == []
    (item,) = (one for one in listed["datasets"] if one["filename"] == "dataset.jsonl")
    assert item["num_examples"] == 10


def test_modelforge_says_which_rows_are_wrong(server):
    answer = sent(server, "/api/upload_dataset", "bad.jsonl", lines(ROWS[:2]) + '{"prompt": "Q"}\n').json()
    assert (answer["num_examples"], answer["validation"]["valid"]) == (2, False)
    assert answer["validation"]["errors"] == ["bad/bad.jsonl, line 3: 'completion' is missing"]


def test_modelforge_errors(server):
    for response in (
        sent(server, "/api/upload_dataset", "x.py", "print()"),
        requests.post(server.url + "/api/upload_dataset", files={"name": (None, "x")}, timeout=60),
    ):
        body = response.json()
        assert response.status_code == body["status_code"] == 400
        assert body["error"] == body["detail"]


def test_sienn_upload(server):
    answer = sent(
        server, "/api/upload-dataset", "training_data.csv", TABLE, name="My Training Dataset"
    ).json()
    assert differences(SIENN_UPLOADED, answer) == []
    assert (answer["dataset_id"], answer["format"]) == ("ds_My_Training_Dataset", "csv")
    assert (answer["total_samples"], answer["size_bytes"]) == (3, len(TABLE))
    assert answer["preview"][0] == {"instruction": "What is Python?", "input": "", "output": "A language."}
    assert answer["validation"] == {
        "valid": False,
        "columns": ["instruction", "input", "output"],
        "null_counts": {"instruction": 0, "input": 2, "output": 1},
    }


def test_sienn_takes_an_array_of_json_and_needs_no_name(server):
    rows = [
        {"instruction": "Q", "input": "", "output": "A"},
        {"instruction": "R", "input": "", "output": "B"},
    ]
    answer = sent(server, "/api/upload-dataset", "some.json", json.dumps(rows)).json()
    assert (answer["dataset_id"], answer["format"], answer["total_samples"]) == ("ds_some", "json", 2)
    assert answer["validation"]["valid"] is True


def test_what_is_uploaded_once_more_lies_beside_what_is_there(server):
    """The documents' programs may be run twice."""
    again = sent(server, "/api/upload-dataset", "training_data.csv", TABLE, name="My Training Dataset")
    assert again.json()["dataset_id"] == "ds_My_Training_Dataset_2"
    rows = '{"instruction": "Q", "input": "", "output": "A"}\n'
    for count in (1, 2):
        answer = sent(server, "/api/upload_dataset", "twice.jsonl", count * rows).json()
        assert (answer["filename"], answer["num_examples"]) == ("twice.jsonl", count)


def test_sienn_errors(server):
    response = sent(server, "/api/upload-dataset", "some.py", "print()")
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_FIELD")
    assert response.json()["timestamp"].endswith("Z")


def test_several_files_at_once_are_refused_where_one_is_documented(server):
    for path in ("/api/upload_dataset", "/api/upload-dataset"):
        two = [("file", ("a.txt", b"1")), ("file", ("b.txt", b"2"))]
        response = requests.post(server.url + path, files=two, timeout=60)
        assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_FIELD")
