"""What a dataset's files hold, as one hash. A file is read again only where it changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from forgellm.data.files import dataset_files, misplaced
from forgellm.storage.decisions import DECISIONS_FILE
from forgellm.storage.files import parse_record, write_bytes

Stamp = list[int]


def stamps(folder: Path) -> dict[str, Stamp]:
    """Size, times of change and place on the disk of each file that a corpus is made of, by name."""
    return {path.relative_to(folder).as_posix(): _stamp(path) for path in _files(folder)}


def content_hash(folder: Path, *, memo: Path) -> str:
    """sha256 over the names and contents of a dataset's files and over what was decided about it.

    `memo` is a file that remembers the hashes of files by their stamps. Raises DiskFull, ReadOnly.
    """
    known = _read_memo(memo)
    found: dict[str, tuple[Stamp, str]] = {}
    for name, stamp in stamps(folder).items():
        before = known.get(name)
        found[name] = (stamp, before[1] if before and before[0] == stamp else _hash(folder / name))
    if found != known:
        write_bytes(memo, json.dumps(found).encode())
    listing = sorted((name, digest) for name, (_, digest) in found.items())
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "valid"):
        if place == folder or misplaced(place, folder) is None:
            yield from (p for p in dataset_files(place) if p.is_file() and misplaced(p, folder) is None)
    if (folder / DECISIONS_FILE).is_file():
        yield folder / DECISIONS_FILE


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    # The time of the last change of the entry too: it cannot be set back, as `cp -p` does with the other.
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_memo(path: Path) -> Mapping[str, tuple[Stamp, str]]:
    try:
        record = parse_record(path.read_bytes())
    except FileNotFoundError:
        record = None
    entries = record.items() if record is not None else ()
    return {
        name: (entry[0], entry[1]) for name, entry in entries if isinstance(entry, list) and len(entry) == 2
    }
