"""What .docx and .epub are made of: a zip with XML in it, opened within bounds.

A zip may unpack to a thousand times its size, and XML may declare entities that grow without end; both are
refused before anything is unpacked. The sizes that a zip declares bind: `zipfile` unpacks no more than that.
"""

from __future__ import annotations

import errno
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser
from xml.parsers import expat

from forgellm.data.readers.unreadable import Unreadable

MOST_UNPACKED = 1 << 30
MOST_XML = 64 << 20
"""Bytes. As a tree XML takes twenty times its size; the longest novels have 10 MB of it."""

MOST_FILES = 20_000
_DAMAGED = "Open it in its own program and save it again."


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`. Raises Unreadable where it is none, or too large unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise Unreadable(f"is damaged: {error}", _DAMAGED) from error
    except OSError as error:
        # A damaged table of contents may point before the beginning of the file.
        if error.errno != errno.EINVAL:
            raise
        raise Unreadable("is damaged: its contents are not where it says", _DAMAGED) from error


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of one file in it. Raises Unreadable where it is not there or encrypted."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise Unreadable(f"has no {name} in it", _DAMAGED) from error
    if info.flag_bits & 1:
        raise Unreadable("is encrypted", "Save a copy without a password.")
    check_xml_size(info.file_size, name)
    return archive.read(info)


def check_xml_size(size: int, name: str) -> None:
    """Raises Unreadable where XML is too large to be taken apart."""
    if size > MOST_XML:
        raise Unreadable(f"has {size >> 20} MiB of XML in {name}, more than {MOST_XML >> 20}", "Split it.")


def parse_xml(data: bytes, name: str) -> Element:
    """The root of an XML file that declares no entities. Raises Unreadable."""
    check_entities(data, name)
    parser = XMLParser(target=TreeBuilder())
    parser.feed(data)
    return parser.close()


def check_entities(data: bytes, name: str) -> None:
    """Raises Unreadable where an XML file is none or declares entities, which may grow without end."""
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise Unreadable(f"declares XML entities in {name}, as no program does that means well")

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Unreadable(f"is damaged: {name} is not XML: {error}", _DAMAGED) from error


def _check(archive: zipfile.ZipFile) -> None:
    infos = archive.infolist()
    size = sum(info.file_size for info in infos)
    if len(infos) > MOST_FILES:
        raise Unreadable(f"has {len(infos):,} files in it, more than {MOST_FILES:,}")
    if size > MOST_UNPACKED:
        raise Unreadable(f"unpacks to {size >> 20:,} MiB, more than {MOST_UNPACKED >> 20:,}", "Split it.")
