"""Files that are added to a dataset: all of them or none, over nothing that is there."""

from __future__ import annotations

import errno
import os

import pytest

from forgellm.domain.errors import DatasetConflict
from forgellm.storage.incoming import incoming


@pytest.fixture(params=["hard links", "none"])
def links(request, monkeypatch):
    """Disks with hard links and without them; macOS says so of exFAT and of network shares."""

    def refuse(source, target, **_options):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(source), None, str(target))

    if request.param == "none":
        monkeypatch.setattr(os, "link", refuse)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}


def add(workspace, **texts):
    with incoming(workspace) as place:
        for name, text in texts.items():
            with place.create(f"more/{name}.txt") as file:
                file.write(text.encode())
        place.add_to(workspace.datasets / "domain")


@pytest.mark.usefixtures("links")
def test_files_are_added_to_a_dataset(workspace):
    add(workspace, a="first", b="second")
    assert contents(workspace.datasets / "domain") == {"more/a.txt": "first", "more/b.txt": "second"}
    assert not [path for path in workspace.datasets.iterdir() if path.name.startswith(".incoming")]


@pytest.mark.usefixtures("links")
def test_nothing_that_is_there_is_written_over(workspace):
    add(workspace, b="before")
    with pytest.raises(DatasetConflict, match="more/b"):
        add(workspace, a="first", b="after")
    assert contents(workspace.datasets / "domain") == {"more/b.txt": "before"}


@pytest.mark.parametrize("said", [errno.EIO, errno.ENOTSUP])
def test_a_disk_that_fails_leaves_no_empty_file(workspace, monkeypatch, said):
    def refuse(source, target, **_options):
        raise OSError(said, os.strerror(said), str(source), None, str(target))

    def fail(source, target):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("shutil.move", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        add(workspace, a="first")
    assert list((workspace.datasets / "domain").rglob("*.txt")) == []


def test_what_macos_keeps_beside_a_file_is_not_moved_by_itself(workspace):
    with incoming(workspace) as place:
        for name in ("-a.txt", "._-a.txt"):
            with place.create(name) as file:
                file.write(b"text")
        # The system moves both at once, and only the first of them would be found.
        place.add_to(workspace.datasets / "domain")
    assert contents(workspace.datasets / "domain") == {"-a.txt": "text"}
