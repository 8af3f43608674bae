"""Atomic writes, JSON lines, locks and the counter, with real kills, limits and permissions."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from forgellm.domain.errors import DiskFull, NoLocks, PathNotFound, ReadOnly
from forgellm.storage.files import (
    PARTIAL,
    HeldLock,
    append_json_line,
    atomic_path,
    exclusive,
    is_held,
    next_number,
    parse_record,
    read_json,
    read_json_lines,
    remove_folder,
    write_bytes,
    write_json,
)

RECORDS = [{"n": 1}, {"n": 2, "text": "ü → 漢\n"}, {"n": 3, "list": [1.5, None, {"a": True}]}]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode()


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def without_permission(folder: Path) -> Iterator[None]:
    """No writing into `folder`; root, whom permissions do not bind, becomes nobody for the while."""
    folder.chmod(0o555)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o755)


def start_python(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """A process that runs `code` and says a line on its output when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_written_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": "ü"})
    assert read_json(path) == {"a": "ü"}
    assert os.listdir(tmp_path) == ["run.json"]


def test_the_temporary_file_is_a_hidden_sibling_with_the_same_suffix(tmp_path):
    path = tmp_path / "0000300_adapters.safetensors"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"weights")
        assert not path.exists()
    assert temporary.parent == path.parent
    assert temporary.name.startswith(".")
    assert temporary.suffix == ".safetensors"
    assert path.read_bytes() == b"weights"


def test_an_exception_while_writing_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "state.json"
    write_bytes(path, b"good")
    with pytest.raises(TypeError), atomic_path(path) as temporary:
        temporary.write_bytes(b"half") and temporary.write_text(None)
    assert path.read_bytes() == b"good"
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.json"
    write_bytes(path, b"good")
    code = (
        "import pathlib, sys; from forgellm.storage.files import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); print('written', flush=True); sys.stdin.read()\n"
    )
    end(start_python(code, path))
    assert path.read_bytes() == b"good"
    assert [name for name in os.listdir(tmp_path) if name.startswith(PARTIAL)]


def test_readers_never_see_a_half_written_file(tmp_path):
    path = tmp_path / "control"
    values = [bytes([n]) * 50_000 for n in range(8)]
    write_bytes(path, values[0])
    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(write_bytes, path, value) for value in values * 10]
        seen = []
        while not all(write.done() for write in writes):
            seen.append(path.read_bytes())
    assert [write.result() for write in writes] == [None] * 80
    assert seen
    assert set(seen) <= set(values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"loss": [-float("inf")]}])
def test_a_number_that_is_not_finite_is_never_written(tmp_path, value):
    path = tmp_path / "run.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, value)
    assert read_json(path) == {"old": 1}


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "big.safetensors"
    write_bytes(path, b"good")
    with file_size_limit(1000), pytest.raises(DiskFull) as caught:
        write_bytes(path, b"x" * 5000)
    assert caught.value.code == "DISK_FULL"
    assert "big.safetensors" in caught.value.message
    assert "space" in caught.value.suggestion
    assert path.read_bytes() == b"good"
    assert os.listdir(tmp_path) == ["big.safetensors"]


def test_an_event_that_no_longer_fits_is_a_full_disk_and_spoils_no_other(tmp_path):
    path = tmp_path / "events.jsonl"
    append_json_line(path, {"n": 1})
    with file_size_limit(20), pytest.raises(DiskFull):
        append_json_line(path, {"text": "x" * 100})
    append_json_line(path, {"n": 2})
    lines = read_json_lines(path)
    assert lines.records == [{"n": 1}, {"n": 2}]
    assert lines.bad == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with without_permission(tmp_path), pytest.raises(ReadOnly) as caught:
        write_json(tmp_path / "run.json", {})
    assert caught.value.details["path"] == str(tmp_path / "run.json")
    assert str(tmp_path) in caught.value.suggestion
    with without_permission(tmp_path), pytest.raises(ReadOnly):
        append_json_line(tmp_path / "events.jsonl", {})


def test_a_folder_that_was_moved_away_meanwhile_is_named(tmp_path):
    gone = tmp_path / "gone" / "control"
    for write in (
        lambda: write_bytes(gone, b"stop"),
        lambda: append_json_line(gone, {"a": 1}),
        lambda: HeldLock.acquire(gone),
    ):
        with pytest.raises(PathNotFound, match="control could not be written: its folder was deleted"):
            write()


@pytest.mark.parametrize("cut", range(len(LINES) + 1))
def test_a_file_torn_at_any_byte_loses_only_the_torn_line(tmp_path, cut):
    path = tmp_path / "events.jsonl"
    path.write_bytes(LINES[:cut])
    whole = LINES[:cut].count(b"\n")
    assert read_json_lines(path).records == RECORDS[:whole]
    append_json_line(path, {"after": True})
    lines = read_json_lines(path)
    assert lines.records[whole:] == [{"after": True}]
    assert lines.bad == (0 if cut == 0 or LINES[:cut].endswith(b"\n") else 1)
    assert lines.offset == path.stat().st_size


def test_reading_goes_on_where_it_stopped_and_leaves_the_torn_end(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n{"n"')
    first = read_json_lines(path)
    assert [r["n"] for r in first.records] == [1, 2]
    with open(path, "ab") as file:
        file.write(b': 3}\n{"n": 4}\n')
    second = read_json_lines(path, offset=first.offset)
    assert [r["n"] for r in second.records] == [3, 4]
    assert second.offset == path.stat().st_size


def test_bad_lines_are_skipped_and_counted(tmp_path):
    bad = [b"[1]", b"null", b'{"a": NaN}', b"\xff\xfe{}", b'{"a": ', b"[" * 100_000, b"\0"]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"n": 1}\r\n\n' + b"\n".join(bad) + b'\n{"n": 2}\n')
    lines = read_json_lines(path)
    assert lines.records == [{"n": 1}, {"n": 2}]
    assert lines.bad == len(bad)


def test_a_missing_file_has_no_lines(tmp_path):
    lines = read_json_lines(tmp_path / "none.jsonl")
    assert (lines.records, lines.offset, lines.bad) == ([], 0, 0)


def test_processes_that_append_at_once_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    code = (
        "import pathlib, sys; from forgellm.storage.files import append_json_line\n"
        "print('ready', flush=True)\n"
        "for n in range(200): append_json_line(pathlib.Path(sys.argv[1]), {'who': sys.argv[2], 'n': n})\n"
    )
    writers = [start_python(code, path, who) for who in "abcd"]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    for writer in writers:
        writer.communicate()
    lines = read_json_lines(path)
    assert lines.bad == 0
    for who in "abcd":
        assert [r["n"] for r in lines.records if r["who"] == who] == list(range(200))


def test_a_record_is_an_object_and_nothing_else():
    assert parse_record(b'{"a": 1}') == {"a": 1}
    assert [parse_record(line) for line in (b"1", b"", b"[]", b'"a"', b'{"a": Infinity}')] == [None] * 5


HOLD = (
    "import pathlib, sys; from forgellm.storage.files import HeldLock\n"
    "lock = HeldLock.acquire(pathlib.Path(sys.argv[1]))\n"
    "print(lock is not None, flush=True); sys.stdin.read()\n"
)


def test_a_lock_is_held_by_one_only(tmp_path):
    path = tmp_path / "lock"
    assert not is_held(path)
    lock = HeldLock.acquire(path)
    assert lock is not None
    assert is_held(path)
    assert HeldLock.acquire(path) is None
    lock.release()
    assert not is_held(path)
    again = HeldLock.acquire(path)
    assert again is not None
    again.release()


def test_nothing_is_written_through_a_link(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    link = tmp_path / "link"
    link.symlink_to(outside)
    for write in (lambda: append_json_line(link, {"a": 1}), lambda: HeldLock.acquire(link)):
        with pytest.raises(ReadOnly, match="link could not be written"):
            write()
    with pytest.raises(ReadOnly), exclusive(link):
        pass
    (tmp_path / "new").symlink_to(tmp_path / "nothing")
    with pytest.raises(ReadOnly):
        HeldLock.acquire(tmp_path / "new")
    assert outside.read_text() == "mine\n"
    assert not (tmp_path / "nothing").exists()


def test_a_kill_frees_the_lock_at_once(tmp_path):
    process = start_python(HOLD, tmp_path / "lock")
    assert is_held(tmp_path / "lock")
    end(process)
    assert not is_held(tmp_path / "lock")


def test_a_lock_lives_on_in_the_child_it_was_handed_to(tmp_path):
    path = tmp_path / "lock"
    lock = HeldLock.acquire(path)
    assert lock is not None
    child = start_python("print(1, flush=True); input()", pass_fds=[lock.descriptor])
    lock.hand_over()
    assert is_held(path)
    end(child)
    assert not is_held(path)


def test_a_released_lock_is_free_whoever_inherited_it(tmp_path):
    lock = HeldLock.acquire(tmp_path / "lock")
    assert lock is not None
    child = start_python("print(1, flush=True); input()", pass_fds=[lock.descriptor])
    lock.release()
    assert not is_held(tmp_path / "lock")
    end(child)


def test_an_adopted_lock_does_not_reach_the_next_child_by_accident(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import subprocess, sys; from forgellm.storage.files import HeldLock\n"
        "lock = HeldLock(int(sys.argv[1]))\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True); sys.stdin.read()\n"
    )
    lock = HeldLock.acquire(path)
    assert lock is not None
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lock.descriptor)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[lock.descriptor],
    )
    lock.hand_over()
    grandchild = int(process.stdout.readline())
    assert is_held(path)
    end(process)
    assert not is_held(path)
    os.kill(grandchild, 9)


def test_looking_at_a_lock_does_not_keep_anyone_from_taking_it(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_held(path)

    with ThreadPoolExecutor(4) as threads:
        lookers = [threads.submit(look) for _ in range(4)]
        taken = []
        for _ in range(50):
            lock = HeldLock.acquire(path)
            taken.append(lock is not None)
            if lock is not None:
                lock.release()
        over.set()
    assert all(taken)
    assert [looker.result() for looker in lookers] == [None] * 4


def test_numbers_are_never_given_twice(tmp_path):
    counter = tmp_path / ".forgellm" / "counter"
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda _: next_number(counter), range(80)))
    assert sorted(numbers) == list(range(1, 81))


@pytest.mark.parametrize("damage", [None, b"", b"many\n", b"\xff"])
def test_a_lost_or_damaged_counter_goes_on_above_what_is_in_use(tmp_path, damage):
    counter = tmp_path / "counter"
    next_number(counter)
    counter.unlink() if damage is None else counter.write_bytes(damage)
    assert next_number(counter, above=41) == 42
    assert next_number(counter) == 43


def test_a_folder_is_deleted_though_a_file_takes_the_one_beside_it_along(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    for n in range(10):
        for name in (f"{n}.json", f"._{n}.json", f"inner/{n}.json", f"inner/._{n}.json"):
            (folder / name).write_bytes(b"")
    unlink = os.unlink

    def unlink_as_macos(path, *, dir_fd=None):
        unlink(path, dir_fd=dir_fd)
        with suppress(FileNotFoundError):
            unlink(f"._{path}", dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink_as_macos)
    remove_folder(folder)
    assert not folder.exists()


def test_a_file_that_is_listed_and_cannot_be_found_ends_the_deleting(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ghost").touch()

    def unlink(path, **_options):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(FileNotFoundError, match="ghost"):
        remove_folder(tmp_path / "model")


def test_a_disk_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def wait():
        with exclusive(tmp_path / "lock"):
            pass

    monkeypatch.setattr(fcntl, "flock", refuse)
    for look in (wait, lambda: HeldLock.acquire(tmp_path / "lock"), lambda: is_held(tmp_path / "lock")):
        with pytest.raises(NoLocks, match="without locks"):
            look()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_is_written_where_folders_cannot_be_synced(tmp_path, monkeypatch, number):
    sync = os.fsync

    def sync_files_alone(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_alone)
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json") == {"a": 1}
