"""Taking files in as a dataset: which names may be written, whether there is room, where it all goes."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from forgellm.data.files import NOT_TRAINED_ON
from forgellm.domain.errors import DatasetConflict, DiskFull, InvalidField
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import Decisions, write_decisions
from forgellm.storage.incoming import Incoming, incoming

UPLOADED = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md", ".rst", ".pdf", ".docx", ".epub")
"""What a browser may bring. Pages and programs are not among it: whoever serves them again would run them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PIECE = 1 << 20
_LONGEST_FILE_NAME = 255
# So that a run that is writing its checkpoints at this moment can go on.
_RESERVE = 64 << 20


class Arrival:
    """Files that are coming in. They are a dataset once `keep` says so."""

    def __init__(self, parts: Parts, place: Incoming) -> None:
        self._parts = parts
        self._place = place
        self.names: list[str] = []

    @property
    def folder(self) -> Path:
        """Where they lie until then."""
        return self._place.folder

    @property
    def first(self) -> str:
        """The name of the first file. Raises InvalidField where none has come."""
        if not self.names:
            raise InvalidField(
                "there is no file in it",
                details={"field": "file"},
                suggestion="Send at least one file, in the field file.",
            )
        return self.names[0]

    @property
    def only(self) -> str:
        """The name of the one file there is to be. Raises InvalidField for more or none."""
        if len(self.names) > 1:
            raise InvalidField(
                "there are several files in it",
                details={"field": "file"},
                suggestion="Send one file here, or several to POST /api/datasets.",
            )
        return self.first

    def create(self, file: str) -> AbstractContextManager[BinaryIO]:
        """A new file of that name. Raises InvalidField, DatasetConflict, DiskFull, ReadOnly."""
        check_file_name(file)
        self.names.append(file)
        return self._place.create(file)

    def copy(self, source: Path, name: str, *, told: Callable[[int], None] | None = None) -> None:
        """A file of this machine as `name`, which may lie in folders; `told` how many bytes are there.

        Raises DatasetConflict, DiskFull, ReadOnly.
        """
        self.names.append(name)
        done = 0
        with open(source, "rb") as read, self._place.create(name) as written:
            while piece := read.read(_PIECE):
                written.write(piece)
                done += len(piece)
                if told is not None:
                    told(done)

    def keep(self, name: str, *, source: Mapping[str, object]) -> str:
        """Make them the dataset `name`, and remember where they came from; the name.

        Raises InvalidField, DatasetConflict, DiskFull, ReadOnly.
        """
        check_name(name)
        # Finer than seconds: which of two uploads is the newer one is told by it.
        moment = self._parts.clock().isoformat(timespec="milliseconds")
        write_decisions(self.folder, Decisions(source={**source, "time": moment}))
        self._place.place(name)
        return name

    def keep_beside(self, name: str, *, source: Mapping[str, object]) -> str:
        """Make them the dataset `name`, or `name_2` … where that is taken; the name.

        Raises InvalidField, DiskFull, ReadOnly.
        """
        free, number = name, 1
        while True:
            try:
                return self.keep(free, source=source)
            except DatasetConflict:
                number += 1
                free = f"{name[:120]}_{number}"

    def append_to(self, name: str) -> str:
        """Add them to the dataset `name`. Raises DatasetNotFound, DatasetConflict for a file it has."""
        folder = find_dataset(self._parts.workspace, name)
        self._place.add_to(folder)
        return folder.name


@contextmanager
def arrival(parts: Parts, *, needed_bytes: int | None = None) -> Iterator[Arrival]:
    """Take files in while the block runs; unless they are kept, nothing is left of them.

    Raises DiskFull before anything is read where there is no room for `needed_bytes`; ReadOnly.
    """
    with incoming(parts.workspace) as place:
        check_room(place.folder, needed_bytes or 0)
        yield Arrival(parts, place)


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises DiskFull where so many bytes would not fit."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + _RESERVE:
        raise DiskFull(
            f"{needed_bytes / 1e6:,.0f} MB do not fit: {free / 1e6:,.0f} MB are free",
            details={"free_bytes": free, "needed_bytes": needed_bytes + _RESERVE},
            suggestion="Free some space, or use a workspace on another disk.",
        )


def check_name(name: str) -> None:
    """Raises InvalidField for what cannot name a new dataset."""
    if not _NAME.fullmatch(name):
        raise InvalidField(
            f"{name!r:.140} cannot name a dataset",
            details={"field": "name"},
            suggestion="Use a to z, A to Z, digits and . _ -, 128 at most; begin with a letter.",
        )


def check_file_name(file: str) -> None:
    """Raises InvalidField for a name that leads elsewhere, is hidden, or is not of a kind that may come.

    Of folders a name may have one before it, that of a part which is not trained on: `valid/faq.csv`.
    """
    folder, _, name = file.rpartition("/")
    plain = folder in ("", *NOT_TRAINED_ON) and file in (name, f"{folder}/{name}")
    fits = 0 < len(name.encode("utf-8", "replace")) <= _LONGEST_FILE_NAME
    if not plain or not fits or not name.isprintable() or "\\" in name or name.startswith("."):
        hint = f"Send the name without any folder but {', '.join(NOT_TRAINED_ON)}."
        raise _refused(file, "is not the plain name of a file", hint)
    if PurePath(file).suffix.lower() not in UPLOADED:
        raise _refused(
            file,
            "is of no kind that is taken over HTTP",
            f"Taken are {', '.join(UPLOADED)}; `forgellm datasets add` takes every kind that can be read.",
        )


def name_from(text: str) -> str:
    """A name for a dataset, out of a title or the name of a file without its suffix; é becomes e."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")[:128]
    return name or "dataset"


def _refused(file: str, reason: str, suggestion: str) -> InvalidField:
    return InvalidField(f"the file {file!r:.140} {reason}", details={"field": "file"}, suggestion=suggestion)
