"""Rows of .jsonl, .json, .csv, .tsv and .parquet files, one at a time. What they mean is not known here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from forgellm.data.problems import Problem
from forgellm.data.tables.delimited import read_delimited
from forgellm.data.tables.json_array import read_json
from forgellm.data.tables.jsonl import read_jsonl
from forgellm.data.tables.layouts import layout_of
from forgellm.data.tables.parquet import read_parquet
from forgellm.data.tables.row import Row
from forgellm.data.text import SAVE_AS_UTF8, Undecodable, decode_document, other_encoding

__all__ = ["SUFFIXES", "Row", "layout", "read_rows"]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_SAMPLE = 1 << 16
_DELIMITED = (".csv", ".tsv")


def read_rows(path: Path, name: str, *, header: bool | None = None) -> Iterator[Row | Problem]:
    """Every row and every problem of a file, in order. `name` is the file as problems call it.

    `header` says whether the first row of a .csv or .tsv names the columns; found out where it is None.
    """
    try:
        encoding = None if _suffix(path) == ".parquet" else other_encoding(_first_bytes(path))
        if encoding is not None:
            yield Problem(name, None, f"is {encoding}, not UTF-8", SAVE_AS_UTF8)
        else:
            yield from _name_encodings(_read(path, name, header=header), path)
    except OSError as error:
        yield Problem(name, None, f"cannot be read: {error.strerror}")


def layout(path: Path, *, header: bool | None = None) -> str | None:
    """How a .csv or .tsv is read, in words; None for other files. Raises OSError."""
    return str(layout_of(path, header=header)) if _suffix(path) in _DELIMITED else None


def _read(path: Path, name: str, *, header: bool | None) -> Iterator[Row | Problem]:
    suffix = _suffix(path)
    if suffix in _DELIMITED:
        return read_delimited(path, name, header=header)
    if suffix == ".parquet":
        return read_parquet(path, name)
    return read_json(path, name) if suffix == ".json" else read_jsonl(path, name)


def _name_encodings(found: Iterator[Row | Problem], path: Path) -> Iterator[Row | Problem]:
    """Add to the first complaint about a byte what the file's encoding probably is."""
    named = False
    for one in found:
        if not named and isinstance(one, Problem) and one.reason.startswith("is not UTF-8"):
            named = True
            likely = _likely_encoding(path)
            one = replace(one, reason=f"{one.reason}; the file looks like {likely}") if likely else one
        yield one


def _likely_encoding(path: Path) -> str | None:
    """From the lines at the beginning; None where they do not tell."""
    with open(path, "rb") as file:
        lines = file.readlines(_SAMPLE)
    try:
        _, encoding = decode_document(b"".join(lines)[: 4 * _SAMPLE])
    except Undecodable:
        return None
    return None if encoding == "UTF-8" else encoding


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)
