"""From the bytes of a user's file to text: UTF-8 with or without a byte order mark, any line ends.

Rows must be UTF-8. A document may be in another encoding where there is little doubt: a byte order mark, what
the file says of itself, or letters as only one encoding has them. Which one it was is told with the text.
"""

from __future__ import annotations

import codecs
import re

import chardet

_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x7f-\x84\x86-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECLARED = re.compile(rb"(?:charset|encoding|coding)[ \t]*[:=][ \t]*[\"']?([A-Za-z][\w.:-]{1,30})")
_PLAIN = re.compile(
    "(windows-|cp|iso-?8859|koi8|shift|sjis|euc|gb|big5|mac|latin|(us-)?ascii)", re.IGNORECASE
)
"""Names of real encodings: Python also knows ones that run escapes or change letters."""

_DECLARED_WITHIN = 1024
_SAMPLE = 1 << 17

_CONFIDENT = 0.1
"""By chardet's measure: paragraphs have 0.12 to 1; what it mistook in trials, 20 letters long, under 0.07."""

_LIKELY = (
    "cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 iso-8859-2 iso-8859-5 iso-8859-6 "
    "koi8-r koi8-u mac-roman cp932 euc-jp gb18030 big5 cp949"
).split()
"""What files of this century are in; with those of DOS and of mainframes more would be mistaken."""

_SHIFT = re.compile(rb"\x1b\$(?:[@B]|\)C)")
_MIXED = re.compile("[A-Za-z][\u0370-\u06ff]|[\u0370-\u06ff][A-Za-z]")
"""Latin letters in one word with Greek, Cyrillic, Hebrew or Arabic ones: nobody writes so."""

SAVE_AS_UTF8 = "Save the file as UTF-8: forgellm datasets convert NAME NEW_NAME --to utf8"


class Undecodable(Exception):
    """Bytes whose encoding is in doubt: the line, from 1, and the reason."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def other_encoding(start: bytes) -> str | None:
    """The encoding that the first bytes of a file declare, where it is not UTF-8."""
    return next((name for bom, name in _BOMS if start.startswith(bom)), None)


def decode(data: bytes) -> str:
    """The text without byte order mark, lines ended by a line feed. Raises UnicodeDecodeError."""
    return _line_feeds(data.removeprefix(codecs.BOM_UTF8).decode("utf-8"))


def decode_document(data: bytes, *, otherwise: str | None = None) -> tuple[str, str]:
    """(text, encoding) of a whole document, lines ended by a line feed. Raises Undecodable.

    `otherwise` is the encoding of what is not UTF-8; found out where it is None.
    """
    marked = other_encoding(data) or _wide(data) or _shifted(data)
    if marked is not None:
        return _decoded(data, marked), marked
    try:
        return decode(data), "UTF-8"
    except UnicodeDecodeError as error:
        if otherwise is not None:
            return _decoded(data, otherwise), otherwise
        encoding = None if _is_damaged_utf8(data) else _declared(data) or _detected(data)
        if encoding is not None:
            return _line_feeds(data.decode(encoding)), encoding
        line = data.count(b"\n", 0, error.start) + 1
        raise Undecodable(line, f"is not UTF-8: byte 0x{data[error.start]:02x}") from error


def unusable(text: str) -> str | None:
    """Why a text cannot be trained on: empty, a NUL, half a character; None where it can."""
    if not text or text.isspace():
        return "is empty"
    if "\0" in text:
        return "has a NUL character"
    if not text.isascii() and _SURROGATE.search(text):
        return "has half a character (a lone surrogate)"
    return None


def _line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _wide(data: bytes) -> str | None:
    """UTF-16 without a byte order mark: in most scripts every other byte of line ends and spaces is NUL."""
    start = data[:4096]
    low, high = start[0::2].count(0), start[1::2].count(0)
    if len(start) < 16 or min(low, high) * 8 > max(low, high) or max(low, high) * 8 < len(start):
        return None
    return "UTF-16-BE" if low > high else "UTF-16-LE"


def _shifted(data: bytes) -> str | None:
    """Japanese and Korean mail, which changes its alphabet by escapes and has no byte beyond ASCII."""
    found = _SHIFT.search(data) if b"\x1b$" in data else None
    return None if found is None else "ISO-2022-KR" if found[0].endswith(b"C") else "ISO-2022-JP"


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return _line_feeds(data.decode(encoding)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Undecodable(1, f"is not {encoding}: byte {error.start} is none of it") from error


def _declared(data: bytes) -> str | None:
    """What an HTML, XML or Python file says of itself near its top, where it can be."""
    found = _DECLARED.search(data[:_DECLARED_WITHIN])
    name = found[1].decode("ascii") if found is not None else ""
    if not _PLAIN.match(name):
        return None
    # Browsers read Latin-1 as Windows-1252 as well: its control characters are meant by nobody.
    name = "Windows-1252" if name.lower() in _LATIN_1 else name
    return name if _reads(data, name) else None


_LATIN_1 = ("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii")


def _detected(data: bytes) -> str | None:
    """The encoding that the bytes speak for; None where there is a doubt."""
    sample = _sample(data)
    found = chardet.detect(
        sample, include_encodings=_LIKELY, prefer_superset=False, no_match_encoding="utf-8"
    )
    name = found["encoding"]
    if not name or found["confidence"] < _CONFIDENT or not _reads(data, name):
        return None
    return None if _MIXED.search(sample.decode(name, "replace")) else name


def _sample(data: bytes) -> bytes:
    """The lines with something beyond ASCII, because the others say nothing."""
    lines = (line for line in data.splitlines(keepends=True) if not line.isascii())
    taken: list[bytes] = []
    size = 0
    for line in lines:
        taken.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return b"".join(taken)


def _is_damaged_utf8(data: bytes) -> bool:
    """Whether more of it is UTF-8 than is not: then a byte was lost, and nothing else is meant."""
    whole = data.decode("utf-8", "replace")
    wrong = whole.count("\ufffd")
    right = sum(1 for character in whole if character > "\x7f") - wrong
    return right > wrong


def _reads(data: bytes, encoding: str) -> bool:
    try:
        return _CONTROL.search(data.decode(encoding)) is None
    except (UnicodeDecodeError, LookupError, ValueError):
        return False
