"""What a Word file comes to, and which ones are refused."""

from __future__ import annotations

import pytest

from forgellm.data.readers.docx import read_docx
from forgellm.data.readers.unreadable import Unreadable
from tests.data.readers.made import archive, docx, paragraph, table

BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
ELSEWHERE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def test_headings_paragraphs_and_tables_are_kept(tmp_path):
    path = docx(
        tmp_path / "a.docx",
        paragraph("One", "Heading1"),
        paragraph("Some text &amp; more."),
        table(("a", "b"), ("1", "2")),
    )
    assert read_docx(path) == "# One\n\nSome text & more.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize("declared", [BOMB, ELSEWHERE])
def test_xml_that_declares_entities_is_refused(tmp_path, declared):
    path = docx(tmp_path / "a.docx", paragraph("&c;" if declared == BOMB else "&a;"), before=declared)
    with pytest.raises(Unreadable, match="declares XML entities"):
        read_docx(path)


def test_a_zip_that_unpacks_without_end_is_refused_before_it_is_unpacked(tmp_path):
    path = docx(tmp_path / "a.docx", paragraph("a" * (65 << 20)))
    assert path.stat().st_size < 200_000
    with pytest.raises(Unreadable, match="65 MiB of XML"):
        read_docx(path)


def test_a_password_and_the_old_format_are_named(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(Unreadable, match="encrypted, or an old Word file"):
        read_docx(tmp_path / "a.docx")


def test_what_is_no_word_file_is_damaged(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"text")
    archive(tmp_path / "b.docx", **{"hello.txt": "no document"})
    docx(tmp_path / "c.docx", "<w:p>")
    for name in ("a", "b", "c"):
        with pytest.raises(Unreadable, match="is damaged"):
            read_docx(tmp_path / f"{name}.docx")
