"""E-books to Markdown: the chapters in reading order, without covers' images and tables of contents."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from forgellm.data.readers.archive import open_archive, parse_xml, read_member
from forgellm.data.readers.html import to_markdown
from forgellm.data.readers.markdown import join
from forgellm.data.readers.unreadable import Unreadable, check_length
from forgellm.data.text import Undecodable, decode_document

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")


@dataclass(frozen=True)
class _Item:
    path: str
    media_type: str
    properties: str


def read_epub(path: Path) -> str:
    """Markdown of all chapters. Raises Unreadable."""
    with open_archive(path) as archive:
        chapters: list[str] = []
        length = 0
        for name in _reading_order(archive):
            chapters.append(_chapter(archive, name))
            length += len(chapters[-1])
            check_length(length)
    return join(chapters)


def _reading_order(archive: zipfile.ZipFile) -> Iterator[str]:
    package_path = _package_path(archive)
    package = parse_xml(read_member(archive, package_path), package_path)
    items = {item.get("id"): _item(item, package_path) for item in _all(package, "item")}
    encrypted = _encrypted(archive)
    for reference in _all(package, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.media_type not in _PAGES or "nav" in item.properties.split():
            continue
        if item.path in encrypted:
            raise Unreadable("is protected against copying (DRM)", "Use a copy without DRM.")
        yield item.path


def _package_path(archive: zipfile.ZipFile) -> str:
    container = parse_xml(read_member(archive, _CONTAINER), _CONTAINER)
    roots = [root.get("full-path") or "" for root in _all(container, "rootfile")]
    if not roots:
        raise Unreadable(
            "does not say where its contents are listed", "Convert it again, for instance with Calibre."
        )
    return roots[0]


def _item(item: Element, package_path: str) -> _Item:
    path = posixpath.join(posixpath.dirname(package_path), unquote(item.get("href") or ""))
    return _Item(posixpath.normpath(path), item.get("media-type") or "", item.get("properties") or "")


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Fonts are often listed there; only text that is matters."""
    if _ENCRYPTION not in archive.namelist():
        return set()
    listed = parse_xml(read_member(archive, _ENCRYPTION), _ENCRYPTION)
    return {unquote(reference.get("URI") or "") for reference in _all(listed, "CipherReference")}


def _chapter(archive: zipfile.ZipFile, name: str) -> str:
    try:
        html, _ = decode_document(read_member(archive, name))
    except Undecodable as error:
        raise Unreadable(f"{error.reason} in {name}, line {error.line}") from error
    return to_markdown(html, titled=False)


def _all(root: Element, tag: str) -> Iterator[Element]:
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == tag)
