"""What the lines of a PDF come to."""

from __future__ import annotations

from contextlib import suppress

import pytest

from forgellm.data.readers.pdf import read_pdf
from forgellm.data.readers.unreadable import Unreadable
from tests.data.readers.made import line, pdf

LONG = "Some words that fill a whole line of this page up to its right edge"


def test_what_is_larger_is_a_heading_and_full_lines_make_a_paragraph(tmp_path):
    page = (
        line("The Title", 760, size=20)
        + line("A section", 720, size=14)
        + line(LONG, 700)
        + line("and end here.", 688)
        + line("Another paragraph after a gap.", 660)
    )
    assert read_pdf(pdf(tmp_path / "a.pdf", page)) == (
        f"# The Title\n\n## A section\n\n{LONG} and end here.\n\nAnother paragraph after a gap."
    )


def test_words_broken_at_the_end_of_a_line_are_mended(tmp_path):
    page = line(f"{LONG} with a hyphen-", 700) + line("ated word.", 688)
    assert read_pdf(pdf(tmp_path / "a.pdf", page)).endswith("with a hyphenated word.")


def test_code_keeps_its_lines_and_its_indents(tmp_path):
    code = "".join(
        line(text, y, font="F2", x=x)
        for text, y, x in (("def f\\(\\):", 680, 72), ("return 1", 668, 96), ("f\\(\\)", 656, 72))
    )
    page = line(LONG, 720) + line("and then.", 708) + code
    assert read_pdf(pdf(tmp_path / "a.pdf", page)).endswith("\n\n```\ndef f():\n    return 1\nf()\n```")


def test_lists_keep_their_items(tmp_path):
    page = line("• first point", 700) + line("• second point", 688) + line("3. third", 676)
    assert read_pdf(pdf(tmp_path / "a.pdf", page)) == "- first point\n- second point\n3. third"


def test_running_titles_and_page_numbers_are_left_out(tmp_path):
    pages = [
        line(f"Chapter {n}", 800)
        + line(f"{LONG} {'abcd'[n]}", 700)
        + line("that ends.", 688)
        + line(str(n), 40)
        for n in range(4)
    ]
    text = read_pdf(pdf(tmp_path / "a.pdf", *pages))
    assert text == "\n\n".join(f"{LONG} {letter} that ends." for letter in "abcd")


def test_a_paragraph_goes_on_over_the_page(tmp_path):
    pages = line(LONG, 60), line("goes on here.", 780)
    assert read_pdf(pdf(tmp_path / "a.pdf", *pages)) == f"{LONG} goes on here."


def test_a_scan_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(Unreadable, match="probably scanned") as caught:
        read_pdf(pdf(tmp_path / "a.pdf", "0 0 100 100 re f", ""))
    assert "ocrmypdf" in caught.value.suggestion


def test_a_password_is_named(tmp_path):
    lock = "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{0}> /U <{0}> >> /ID [<00> <00>]".format(
        "41" * 32
    )
    with pytest.raises(Unreadable, match="encrypted with a password"):
        read_pdf(pdf(tmp_path / "a.pdf", line("x", 700), trailer=lock))


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.4\n", b"not a PDF at all", b"%PDF-1.4\ntrailer << /Root 1 0 R >>"]
)
def test_a_damaged_file_is_named(tmp_path, data):
    (tmp_path / "a.pdf").write_bytes(data)
    with pytest.raises(Unreadable, match="is damaged"):
        read_pdf(tmp_path / "a.pdf")


def test_any_half_of_a_file_is_read_or_refused(tmp_path):
    whole = pdf(tmp_path / "a.pdf", line(LONG, 700), line("more", 700)).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "b.pdf").write_bytes(whole[:length])
        with suppress(Unreadable):
            read_pdf(tmp_path / "b.pdf")
