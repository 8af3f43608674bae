"""Rows out of .jsonl, .json, .csv, .tsv and .parquet files, one at a time. What they mean is `shapes`' part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forgellm.data.problems import Problem
from forgellm.data.tables.row import Row

__all__ = ["SUFFIXES", "Row", "read_rows"]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def read_rows(path: Path, name: str) -> Iterator[Row | Problem]:
    """Every row and every problem of a file, in order. `name` is the file as problems call it."""
    raise NotImplementedError
