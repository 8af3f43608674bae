"""Which files of a dataset are documents, and what is wrong with the others."""

from __future__ import annotations

import os
import tracemalloc
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


GERMAN = "Die Größe der Häuser überraschte den Förster, während er früh über schöne Wege ging. " * 2
RUSSIAN = "Вчера мы пошли в магазин, чтобы купить свежие яблоки, и дети играли во дворе до вечера."
JAPANESE = "昨日は新鮮なりんごを買うために店に行きました。天気が良かったので、庭で遊んでいました。"
CHINESE = "昨天我们去商店买新鲜的苹果。天气很好，孩子们在院子里一直玩到晚上。"

ENCODED = {
    "UTF-16 with its mark": (GERMAN, "utf-16"),
    "UTF-16 without a mark": (GERMAN, "utf-16-le"),
    "UTF-32": (GERMAN, "utf-32"),
    "Windows-1252": (GERMAN, "cp1252"),
    "MacRoman": (GERMAN, "mac_roman"),
    "Windows-1251": (RUSSIAN, "cp1251"),
    "KOI8-R": (RUSSIAN, "koi8_r"),
    "Shift-JIS": (JAPANESE, "shift_jis"),
    "EUC-JP": (JAPANESE, "euc_jp"),
    "GB18030": (CHINESE, "gb18030"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_another_encoding_is_decoded_where_it_is_sure_and_noted(tmp_path, name):
    text, encoding = ENCODED[name]
    write(tmp_path, a_txt=text.encode(encoding))
    [note, document] = read_documents(tmp_path, decisions=Decisions())
    assert document.text == text
    assert note.severity == "note"
    assert note.reason == f"is read as {document.encoding}"


def test_source_code_may_say_its_encoding_itself(tmp_path):
    write(tmp_path, a_py="# -*- coding: latin-1 -*-\nname = 'ö'\n".encode("latin-1"))
    [document], _ = read(tmp_path)
    assert document.text == "# -*- coding: latin-1 -*-\nname = 'ö'\n"
    assert (document.kind, document.encoding) == ("code", "Windows-1252")


def test_a_declared_encoding_that_would_change_the_text_is_not_believed(tmp_path):
    write(tmp_path, a_py=b"# coding: unicode_escape\nname = '\\x41\xff'\n")
    _, [problem] = read(tmp_path)
    assert problem.reason == "is not UTF-8: byte 0xff"


def test_texts_in_rows_are_documents_and_rows_of_another_shape_are_noted(tmp_path):
    write(
        tmp_path,
        a_jsonl='{"text": "One."}\n{"text": "Two."}\n',
        b_csv="id,text\n1,Three.\n",
        c_jsonl='{"prompt": "Q", "completion": "A"}\n',
    )
    found = list(read_documents(tmp_path, decisions=Decisions()))
    documents = [(item.name, item.line, item.text) for item in found if isinstance(item, Document)]
    root = tmp_path.name
    assert documents == [
        (f"{root}/a.jsonl", 1, "One."),
        (f"{root}/a.jsonl", 2, "Two."),
        (f"{root}/b.csv", 2, "Three."),
    ]
    [note] = [item for item in found if isinstance(item, Problem)]
    assert (note.file, note.severity) == (f"{root}/c.jsonl", "note")


def test_what_is_excluded_is_not_read(tmp_path):
    write(tmp_path, a_txt="1", b_txt="2", c_jsonl='{"text": "3"}\n{"text": "4"}\n')
    documents, _ = read(tmp_path, decisions=Decisions(excluded={"a.txt": [0], "c.jsonl": [1]}))
    assert [d.text for d in documents] == ["2", "4"]


def test_a_dataset_of_rows_has_documents_where_they_are_texts(tmp_path):
    write(tmp_path, a__x_jsonl='{"text": "1"}\n', b__x_jsonl='{"prompt": "Q", "completion": "A"}\n')
    assert has_documents(tmp_path / "a", decisions=Decisions())
    assert not has_documents(tmp_path / "b", decisions=Decisions())


def test_files_of_no_known_format_are_named_once_for_each_kind(tmp_path):
    write(tmp_path, a_txt="1", b_png="?", c_png="?", d_doc="?")
    notes = [item for item in read_documents(tmp_path, decisions=Decisions()) if isinstance(item, Problem)]
    assert {(n.file.rpartition("/")[2], n.severity) for n in notes} == {("b.png", "note"), ("d.doc", "note")}
    assert "1 more" in next(n.reason for n in notes if ".png" in n.reason)


def test_one_document_is_in_memory_at_a_time(tmp_path):
    for n in range(8):
        (tmp_path / f"{n}.txt").write_bytes(b"A line of text.\n" * 250_000)
    tracemalloc.start()
    try:
        assert sum(len(d.text) for d in read_documents(tmp_path, decisions=Decisions())) == 32_000_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
