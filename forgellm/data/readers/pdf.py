"""PDF files to Markdown. How their lines become headings and paragraphs is `pdf_layout`'s part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pypdf
from pypdf.errors import DependencyError, PyPdfError

from forgellm.data.readers.pdf_layout import Piece, to_markdown
from forgellm.data.readers.unreadable import Unreadable, check_length

_FAULTS = (
    PyPdfError,
    *(KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, NotImplementedError),
)
"""What pypdf raises for files that are not as they should be."""

MOST_PAGES = 20_000
_LOCKED = "Save a copy without the password, for instance by printing it to a file."
_SCANNED = "Run a text recognition such as ocrmypdf over it, and add its result."
_DAMAGED = "Open it in a PDF viewer and print it to a new file."


def read_pdf(path: Path) -> str:
    """Markdown of all pages. Raises Unreadable."""
    try:
        with pypdf.PdfReader(path) as reader:
            _unlock(reader)
            if len(reader.pages) > MOST_PAGES:
                raise Unreadable(f"has {len(reader.pages):,} pages, more than {MOST_PAGES:,}", "Split it.")
            pages = _pages(reader)
    except DependencyError as error:
        raise Unreadable("is encrypted in a way that needs the package cryptography", _LOCKED) from error
    except _FAULTS as error:
        raise Unreadable(f"is damaged: {str(error)[:200] or type(error).__name__}", _DAMAGED) from error
    text = to_markdown(pages)
    if not text.strip():
        raise Unreadable(f"has no text (pages: {len(pages)}); it is probably scanned", _SCANNED)
    return text


def _unlock(reader: pypdf.PdfReader) -> None:
    """Many files have an empty password: everybody may read them."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("is encrypted with a password", _LOCKED)


def _pages(reader: pypdf.PdfReader) -> list[list[Piece]]:
    pages: list[list[Piece]] = []
    length = 0
    for page in reader.pages:
        pieces: list[Piece] = []

        def collect(text: str, cm: Any, tm: Any, font: Any, size: float, kept: list[Piece] = pieces) -> None:
            if text:
                kept.append(_piece(text, cm, tm, font, size=size))

        page.extract_text(visitor_text=collect)
        length += sum(len(piece.text) for piece in pieces)
        check_length(length)
        pages.append(pieces)
    return pages


def _piece(text: str, cm: Any, tm: Any, font: Any, *, size: float) -> Piece:
    """Where a piece of text lies: the text's own matrix within the page's."""
    name = str(font.get("/BaseFont", "")) if font else ""
    scale = (abs(tm[3]) or abs(tm[1])) * (abs(cm[3]) or abs(cm[1]))
    x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
    y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
    return Piece(text, float(x), float(y), float(size * scale), name)
