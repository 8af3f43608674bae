"""What an e-book comes to, and which ones are refused."""

from __future__ import annotations

import pytest

from forgellm.data.readers.epub import read_epub
from forgellm.data.readers.unreadable import Unreadable
from tests.data.readers.made import archive, epub

DOCTYPE = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'


def chapter(body):
    return (
        f'{DOCTYPE}<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Book</title></head>{body}</html>'
    )


def test_chapters_come_in_their_order_and_without_the_table_of_contents(tmp_path):
    contents = '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    path = epub(
        tmp_path / "a.epub",
        chapter("<body><h1>One</h1><p>First.</p></body>"),
        chapter("<body><h1>Two</h1><p>Zwö&#8222;lf.</p></body>"),
        listed=contents,
        **{"OEBPS/nav.xhtml": chapter("<body>contents</body>")},
    )
    assert read_epub(path) == "# One\n\nFirst.\n\n# Two\n\nZwö„lf."


def test_copy_protection_is_named(tmp_path):
    listed = (
        '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData><e:CipherData>'
        '<e:CipherReference URI="OEBPS/chapter%200.xhtml"/></e:CipherData></e:EncryptedData></encryption>'
    )
    path = epub(tmp_path / "a.epub", chapter("<body>x</body>"), **{"META-INF/encryption.xml": listed})
    with pytest.raises(Unreadable, match="DRM"):
        read_epub(path)


def test_entities_in_its_package_are_refused(tmp_path):
    path = epub(
        tmp_path / "a.epub", chapter("<body>x</body>"), package_before='<!DOCTYPE p [<!ENTITY a "b">]>'
    )
    with pytest.raises(Unreadable, match="declares XML entities"):
        read_epub(path)


def test_a_chapter_that_unpacks_without_end_is_refused(tmp_path):
    path = epub(tmp_path / "a.epub", chapter("<p>" + "a" * (65 << 20)))
    with pytest.raises(Unreadable, match="65 MiB"):
        read_epub(path)


@pytest.mark.parametrize(
    "parts",
    [
        {"mimetype": "application/epub+zip"},
        {"META-INF/container.xml": "<container>"},
        {"META-INF/container.xml": "<container><rootfiles/></container>"},
        {"META-INF/container.xml": '<container><rootfile full-path="../../etc/passwd"/></container>'},
    ],
)
def test_what_is_no_book_is_refused(tmp_path, parts):
    with pytest.raises(Unreadable):
        read_epub(archive(tmp_path / "a.epub", **parts))
