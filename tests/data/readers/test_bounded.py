"""A reader that takes for ever, or dies, costs one file and not the process that asked."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest

from forgellm.data.readers.bounded import BoundedReader, Refusal, Text
from forgellm.data.text import SAVE_AS_UTF8
from tests.data.readers.made import docx, epub, line, paragraph, pdf


@pytest.fixture(scope="module")
def reader():
    with BoundedReader() as opened:
        yield opened


@pytest.fixture
def good(tmp_path):
    return pdf(tmp_path / "good.pdf", line("good", 700))


def test_every_format_is_read(reader, tmp_path):
    (tmp_path / "a.html").write_bytes("<h1>ä</h1>".encode("utf-16"))
    docx(tmp_path / "b.docx", paragraph("word"))
    epub(tmp_path / "c.epub", "<p>book</p>")
    pdf(tmp_path / "d.PDF", line("page", 700))
    found = [reader.read(tmp_path / name) for name in ("a.html", "b.docx", "c.epub", "d.PDF")]
    assert found == [Text("# ä", "UTF-16"), *(Text(text, "UTF-8") for text in ("word", "book", "page"))]


def test_a_refusal_says_what_to_do(reader, tmp_path):
    (tmp_path / "a.html").write_bytes(b"<p>\n\xff\xfe\xfd</p>")
    assert reader.read(tmp_path / "a.html") == Refusal("is not UTF-8: byte 0xff", SAVE_AS_UTF8, 2)


def test_a_file_that_takes_too_long_is_refused_and_the_next_one_read(tmp_path, good):
    slow = pdf(tmp_path / "slow.pdf", line("again and again", 700) * 400_000)
    with BoundedReader(seconds=1) as reader:
        found = reader.read(slow)
        assert isinstance(found, Refusal)
        assert found.reason == "takes longer than 1 seconds to read"
    with BoundedReader() as reader:
        assert reader.read(good) == Text("good", "UTF-8")


def test_a_reader_that_is_killed_costs_one_file(good):
    with BoundedReader() as reader:
        others = set(psutil.Process().children())
        reader.read(good)
        [child] = set(psutil.Process().children()) - others
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        assert isinstance(reader.read(good), Refusal)
        assert reader.read(good) == Text("good", "UTF-8")
    assert set(psutil.Process().children()) <= others


def test_a_missing_package_is_named_with_its_extra(tmp_path, good, monkeypatch):
    (tmp_path / "hidden").mkdir()
    hidden = "raise ModuleNotFoundError(\"No module named 'pypdf'\", name='pypdf')"
    (tmp_path / "hidden" / "pypdf.py").write_text(hidden)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hidden"), *filter(None, sys.path)]))
    with BoundedReader() as reader:
        found = reader.read(good)
    assert found == Refusal(
        "needs the package pypdf, which is not installed", "Install it: pip install 'forgellm[documents]'."
    )
