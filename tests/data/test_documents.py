"""Which files of a dataset are documents, and what is wrong with the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forgellm.data.documents import Document, has_documents, read_documents
from forgellm.data.problems import Problem
from forgellm.storage.decisions import Decisions

HARMLESS = {
    "byte order mark": b"\xef\xbb\xbfOne.\nTwo.",
    "windows line ends": b"One.\r\nTwo.",
    "old Macintosh line ends": b"One.\rTwo.",
    "no newline at the end": b"One.\nTwo.",
}
FAULTS = {
    "half a UTF-16 file": ("One.".encode("utf-16")[:-1], 1, "UTF-16"),
    "too little of another encoding": ("One.\nTwö.".encode("latin-1"), 2, "byte 0xf6"),
    "one byte lost among many": ("Zwölf Büßer überqueren öde Äcker.\nTwö\xff".encode()[:-1], 2, "byte 0xc3"),
    "cut in a character": ("One.\n\nTwö".encode()[:-1], 3, "byte 0xc3"),
    "NUL": (b"One.\n\0Two.", 2, "NUL"),
    "encoded surrogate": (b"One. \xed\xa0\x80", 1, "byte 0xed"),
}


def read(dataset, *, decisions=Decisions(), **options):  # noqa: B008
    found = list(read_documents(dataset, decisions=decisions, **options))
    documents = [item for item in found if isinstance(item, Document)]
    return documents, [item for item in found if isinstance(item, Problem) and item.severity == "error"]


def write(folder: Path, **files: bytes | str) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_read(tmp_path, name):
    documents, problems = read(write(tmp_path, a_txt=HARMLESS[name]))
    assert problems == []
    assert [d.text for d in documents] == ["One.\nTwo."]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_file_line_and_reason(tmp_path, name):
    data, line, reason = FAULTS[name]
    documents, [problem] = read(write(tmp_path, a_txt="fine", b_md=data))
    assert [d.text for d in documents] == ["fine"]
    assert (problem.file, problem.line) == (f"{tmp_path.name}/b.md", line)
    assert reason in problem.reason


def test_documents_are_found_in_folders_in_the_order_of_their_names(tmp_path):
    write(tmp_path, b_txt="2", a__z_md="3", a__b__c_TXT="4", README_md="1", c_png="no", d_jsonl="no")
    documents, _ = read(tmp_path)
    root = tmp_path.name
    assert [d.name for d in documents] == [
        f"{root}/README.md",
        f"{root}/b.txt",
        f"{root}/a/z.md",
        f"{root}/a/b/c.TXT",
    ]


def test_hidden_files_empty_files_and_the_held_out_folders_are_left_out(tmp_path):
    write(
        tmp_path,
        a_txt="1",
        _b_txt="no",
        _git__c_txt="no",
        empty_txt=" \n\n",
        heldout__d_md="no",
        test__e_md="no",
    )
    write(tmp_path, valid__f_md="no", deeper__valid__g_md="2")
    documents, problems = read(tmp_path)
    assert problems == []
    assert [d.text for d in documents] == ["1", "2"]


def test_validation_documents_are_named_within_their_dataset(tmp_path):
    write(tmp_path, valid__f_md="held out")
    documents, _ = read(tmp_path, part="valid")
    assert [d.name for d in documents] == [f"{tmp_path.name}/valid/f.md"]


def test_a_link_to_nowhere_is_a_problem(tmp_path):
    os.symlink(tmp_path / "gone.txt", tmp_path / "link.txt")
    _, [problem] = read(tmp_path)
    assert "cannot be read" in problem.reason


def test_a_link_out_of_the_dataset_and_a_pipe_are_named_and_never_opened(tmp_path):
    (tmp_path / "secret.txt").write_text("what lies elsewhere")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "good.txt").write_text("a document")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "pipe.txt")
    documents, problems = read(folder)
    assert [d.name for d in documents] == ["data/good.txt"]
    assert [(p.file, p.reason) for p in problems] == [
        ("data/link.txt", "is a link to a place outside the dataset"),
        ("data/pipe.txt", "is a pipe or a device, not a file"),
    ]
