"""A folder as a ZIP archive, piece by piece: it is never whole in memory nor on the disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 20


def zipped(folder: Path, *, top: str) -> Iterator[bytes]:
    """The archive's bytes; its files lie in a folder `top`. Hidden files, which macOS puts everywhere, and
    what links lead to are left out.

    Weights do not become smaller: nothing is compressed. Raises OSError where a file cannot be read.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        visible = (p for p in folder.rglob("*") if not f"/{p.relative_to(folder).as_posix()}".count("/."))
        for path in sorted(p for p in visible if p.is_file() and not p.is_symlink()):
            name = f"{top}/{path.relative_to(folder).as_posix()}"
            # How long a file is has to be known to be sure that it fits: a field for more is always there.
            with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as entry:
                while data := source.read(_PIECE):
                    entry.write(data)
                    yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Takes what is written, until it is taken away."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
