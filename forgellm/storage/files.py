"""Files that survive a kill: atomic writes, append-only JSON lines, held locks, the number counter.

What the files mean is decided elsewhere in `storage`. Everything here works on POSIX systems only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from forgellm.domain.errors import DiskFull, ForgeError, NoLocks, PathNotFound, ReadOnly

PARTIAL = ".partial-"
"""How the name of every temporary file begins; a process that is killed may leave one behind."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# ELOOP is what a link gives where none is followed.
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP}
# What network shares say that have no locks, macOS first.
_LOCKLESS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS}
# A piece that lacks nothing but its newline was never seen by a reader: a newline alone would revive it.
_TORN = b" torn\n"
_LOCK_ATTEMPTS = 40
_LOCK_PAUSE = 0.005
# More than the two seconds that FAT counts by; other disks count by less.
SETTLED_SECONDS = 2.5
_DELETED_BESIDE = 100
"""So many files may go by themselves while a folder is deleted."""


def storage_error(error: OSError, path: Path) -> ForgeError | None:
    """DiskFull or ReadOnly for an OSError that means that, otherwise None."""
    details: dict[str, object] = {"path": str(path), "reason": os.strerror(error.errno or 0)}
    if error.errno in _FULL:
        return DiskFull(
            f"{path.name} could not be written: the disk, a quota or a size limit is full",
            details=details,
            suggestion="Free some space (older runs and checkpoints take the most; what was removed is in "
            ".forgellm/trash until you empty it), then resume the run, or ask for it again.",
        )
    if error.errno in _REFUSED:
        return ReadOnly(
            f"{path.name} could not be written: {details['reason']}",
            details=details,
            suggestion=f"Make {path.parent} writable, or choose another workspace.",
        )
    return None


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about a full disk or a missing permission into DiskFull or ReadOnly, and one about a
    folder that has gone, as that of a run that is deleted meanwhile, into PathNotFound."""
    try:
        yield
    except OSError as error:
        gone = error.errno == errno.ENOENT and not path.parent.exists()
        named = _gone(path) if gone else storage_error(error, path)
        if named is None:
            raise
        raise named from error


def _gone(path: Path) -> PathNotFound:
    return PathNotFound(
        f"{path.name} could not be written: its folder was deleted or moved",
        details={"path": str(path)},
        suggestion="`forgellm runs list` shows every run.",
    )


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A hidden sibling with the same suffix to write to; it becomes `path` whole or not at all.

    The caller creates the file. On success it is synced and renamed, on an exception removed.
    Raises DiskFull, ReadOnly.
    """
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{threading.get_ident()}-{path.name}")
    with storage_errors(path):
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(path.parent)


def own_file(path: str | Path, flags: int) -> int:
    """Open a file itself, never what a link leads to: a run's folder may come from anywhere.

    It is also an `opener` of `open`. Raises OSError with ELOOP for a link, with ENXIO for a pipe, which would
    be waited for.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "it is a pipe", str(path))
    return descriptor


def _without_waiting(path: str, flags: int) -> int:
    """For files that may be links, as in the Hub's cache."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically. Raises DiskFull, ReadOnly."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically. Raises ValueError for a number that is not finite."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> object:
    """The value in a JSON file. Raises ValueError where it is none, OSError where it cannot be read."""
    with open(path, "rb", opener=_without_waiting) as file:
        return _parse(file.read())


Version = tuple[int, int, int, int]


def settled_version(path: Path) -> Version | None:
    """What is another one after each change of a file, and for another file in its place.

    None for what is no file, and for one that was changed so lately that its disk's clock may not tell the
    next change from that one.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or time.time() - status.st_ctime < SETTLED_SECONDS:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def append_json_line(path: Path, value: Mapping[str, object], *, sync: bool = False) -> None:
    """Append one line with one write; `sync` waits until it is on the disk.

    Where the file ends in a torn line, that piece becomes a bad line of its own, which readers skip.
    """
    line = json.dumps(value, allow_nan=False).encode() + b"\n"
    with storage_errors(path):
        descriptor = own_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            _write_all(descriptor, _TORN + line if torn else line)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Lines:
    """`records` that were whole; `offset` in bytes to read on from; `bad` lines that were skipped."""

    records: list[dict[str, object]]
    offset: int
    bad: int


def read_json_lines(path: Path, *, offset: int = 0) -> Lines:
    """The objects from byte `offset` up to the last newline; a missing file is an empty one."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return Lines([], offset, 0)
    whole = data[: data.rfind(b"\n") + 1]
    lines = [line for line in whole.split(b"\n") if line.strip()]
    records = [record for record in map(parse_record, lines) if record is not None]
    return Lines(records, offset + len(whole), len(lines) - len(records))


def parse_record(line: bytes) -> dict[str, object] | None:
    """The object in one line of JSON, or None."""
    try:
        value = _parse(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class HeldLock:
    """An flock that is held. It belongs to the open file: a child that inherits the descriptor has it too."""

    def __init__(self, descriptor: int) -> None:
        """Adopt an inherited descriptor; from here on no child inherits it by accident."""
        os.set_inheritable(descriptor, False)
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> HeldLock | None:
        """Take the lock, or None when someone holds it. Raises ReadOnly, DiskFull, NoLocks."""
        for _ in range(_LOCK_ATTEMPTS):
            lock = _try_lock(path)
            if lock is not None:
                return cls(lock)
            # A look at the lock by `is_held` takes it for an instant; a worker that ends needs a moment.
            time.sleep(_LOCK_PAUSE)
        return None

    def write(self, text: str) -> None:
        """Put a note into the lock file, for people."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def release(self) -> None:
        """Free the lock, whoever else has inherited it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)

    def hand_over(self) -> None:
        """Close this process's copy; a child that inherited the lock goes on holding it."""
        os.close(self.descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock at `path`. Raises NoLocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at once do not see each other.
        _flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, path)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock at `path`, waiting for it. Raises ReadOnly, DiskFull, NoLocks."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = own_file(path, os.O_RDWR | os.O_CREAT)
    try:
        _flock(descriptor, fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(descriptor)


def next_number(counter: Path, *, above: int = 0) -> int:
    """The next number of a counter file, never twice the same and always greater than `above`.

    `above` is the greatest number known to be in use: it counts when the counter file was lost.
    """
    with storage_errors(counter):
        counter.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(counter.with_name(counter.name + ".lock")):
        stored = 0
        with suppress(FileNotFoundError, ValueError):
            stored = int(counter.read_text())
        number = max(stored, above) + 1
        write_bytes(counter, f"{number}\n".encode())
    return number


def _try_lock(path: Path) -> int | None:
    with storage_errors(path):
        descriptor = own_file(path, os.O_RDWR | os.O_CREAT)
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
        # The folder may have been moved away between opening and locking.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except NoLocks:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _flock(descriptor: int, operation: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise
        raise NoLocks(
            f"{path.parent} is on a disk without locks, as many network shares are",
            details={"path": str(path), "reason": error.strerror},
            suggestion="Keep the workspace on a disk of this machine.",
        ) from error


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def move_folder(source: Path, target: Path) -> None:
    """Sync a folder with all its files and rename it. Raises FileExistsError where `target` is not empty."""
    for path in (*source.rglob("*"), source):
        _sync(path)
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)
    _sync(target.parent)


def remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it. Raises OSError for what cannot be deleted.

    On some disks macOS keeps what it knows of a file in a hidden one beside it and deletes both at once; up
    to Python 3.12 rmtree stops at a file that has gone meanwhile.
    """
    for _ in range(_DELETED_BESIDE):
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        if not os.path.lexists(folder):
            return
    # A share may list what it says is not there.
    shutil.rmtree(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if sys.platform == "darwin":
            # fsync there leaves the data in the drive's cache; not every volume knows F_FULLFSYNC.
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)
    except OSError as error:
        # Many network shares cannot sync a folder, and then need not.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _parse(data: bytes) -> object:
    return _DECODER.decode(data.decode("utf-8"))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# Built once: json.loads builds a decoder for each line when it is given an option.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
