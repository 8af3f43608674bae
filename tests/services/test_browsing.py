import os
import threading
import time

import pytest

from forgellm.domain.errors import InvalidPath, PathNotFound
from forgellm.services.browsing import browse


def test_a_folder_is_listed_with_what_lies_below_it(forge):
    listing = browse(forge, "dataset")
    assert listing.path == "dataset"
    assert [(f.name, f.file_count) for f in listing.folders] == [
        ("domain", 12),
        ("general", 6),
        ("questions", 1),
    ]
    inside = browse(forge, "dataset/questions")
    path = forge.workspace.datasets / "questions" / "train.jsonl"
    assert inside.files == [("train.jsonl", path.stat().st_size)]
    assert listing.folders[2].size_bytes == path.stat().st_size


def test_the_workspace_itself_is_listed_without_what_is_hidden(forge):
    forge.workspace.private.mkdir()
    (forge.workspace.root / "notes.txt").write_text("hello")
    listing = browse(forge, ".")
    assert listing.path == "."
    assert [f.name for f in listing.folders] == ["dataset", "models"]
    assert listing.files == [("notes.txt", 5)]
    with pytest.raises(InvalidPath, match="hidden"):
        browse(forge, ".forgellm")
    with pytest.raises(InvalidPath, match="hidden"):
        browse(forge, "dataset/../.forgellm")


@pytest.mark.parametrize("path", ["/etc", "..", "../workspace-secrets", "dataset/../..", "a\0b", "..\\x", ""])
def test_nothing_outside_the_workspace_is_listed(forge, path):
    (forge.workspace.root.parent / "workspace-secrets").mkdir(exist_ok=True)
    with pytest.raises(InvalidPath):
        browse(forge, path)


def test_links_that_leave_the_workspace_are_absent_and_refused(forge, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (forge.workspace.datasets / "escape").symlink_to(outside)
    (forge.workspace.datasets / "secret.txt").symlink_to(outside / "secret.txt")
    (forge.workspace.datasets / "loop").symlink_to("loop")
    (forge.workspace.datasets / "inside").symlink_to(forge.workspace.datasets / "domain")
    listing = browse(forge, "dataset")
    assert [f.name for f in listing.folders] == ["domain", "general", "inside", "questions"]
    assert listing.files == []
    with pytest.raises(InvalidPath):
        browse(forge, "dataset/escape")


def test_a_folder_that_is_not_there_is_not_found(forge):
    with pytest.raises(PathNotFound):
        browse(forge, "dataset/nothing")
    with pytest.raises(PathNotFound):
        browse(forge, "dataset/questions/train.jsonl")


def test_names_that_cannot_be_asked_for_are_left_out(forge):
    os.mkdir(os.fsencode(forge.workspace.datasets) + b"/bad\xff")
    assert [f.name for f in browse(forge, "dataset").folders] == ["domain", "general", "questions"]


def test_ten_thousand_files_are_listed_in_no_time(forge):
    many = forge.workspace.datasets / "many"
    many.mkdir()
    for number in range(10_000):
        (many / f"{number}.txt").touch()
    start = time.thread_time()
    assert len(browse(forge, "dataset/many").files) == 10_000
    assert time.thread_time() - start < 0.5


def test_files_that_come_and_go_while_they_are_counted_disturb_nobody(forge):
    busy = forge.workspace.datasets / "busy"
    busy.mkdir()
    done = threading.Event()

    def come_and_go():
        while not done.is_set():
            for number in range(20):
                (busy / f"{number}.txt").touch()
            for number in range(20):
                (busy / f"{number}.txt").unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(200):
            assert "busy" in {f.name for f in browse(forge, "dataset").folders}
            assert browse(forge, "dataset/busy").folders == []
    finally:
        done.set()
        thread.join()
