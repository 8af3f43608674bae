"""Word documents to Markdown, by way of mammoth's HTML. Images, comments, tracked deletions are left out."""

from __future__ import annotations

import zipfile
from pathlib import Path

import mammoth

from forgellm.data.readers.archive import check_entities, check_xml_size, open_archive, read_member
from forgellm.data.readers.html import to_markdown
from forgellm.data.readers.unreadable import Unreadable

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Preformatted Text'] => pre:separator('\\n')
r[style-name='Verbatim Char'] => code
"""
_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How the files of Word before 2007 begin, and newer ones with a password."""


def read_docx(path: Path) -> str:
    """Markdown of a document. Raises Unreadable."""
    with open(path, "rb") as file:
        if file.read(8) == _OLD:
            raise Unreadable("is encrypted, or an old Word file", "Save it as .docx without a password.")
        with open_archive(path) as archive:
            _check_parts(archive)
        file.seek(0)
        try:
            html = mammoth.convert_to_html(file, style_map=_STYLES, convert_image=_no_image)
        except (OSError, KeyError, ValueError, AttributeError, TypeError, IndexError) as error:
            raise Unreadable(f"is damaged: {error}", "Open it in Word and save it again.") from error
    return to_markdown(html.value, titled=False)


def _check_parts(archive: zipfile.ZipFile) -> None:
    parts = [info for info in archive.infolist() if info.filename.endswith((".xml", ".rels"))]
    check_xml_size(sum(info.file_size for info in parts), "all its parts")
    for info in parts:
        check_entities(read_member(archive, info.filename), info.filename)


def _no_image(_image: object) -> list[object]:
    return []
