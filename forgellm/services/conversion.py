"""New datasets out of old ones, written by the inspection process: another form, or parts to validate on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgellm.domain.errors import InvalidField
from forgellm.services.browsing import count
from forgellm.services.contents import about
from forgellm.services.ingestion import check_name, check_room
from forgellm.services.parts import Parts
from forgellm.storage.datasets import find_dataset

_SECONDS = 1800.0


def convert(
    parts: Parts,
    source: str,
    *,
    name: str,
    to: str,
    patterns: Mapping[str, list[str]] | None = None,
    encoding: str | None = None,
) -> dict[str, Any]:
    """Write the dataset `name` out of `source`: as messages, its transcripts as messages, its texts as UTF-8
    (what is not UTF-8 from `encoding`, found out where it is None).

    Raises InvalidField, DatasetNotFound, DatasetConflict, InvalidDataset where there is nothing to convert,
    DiskFull.
    """
    if patterns is not None and to != "transcripts":
        raise InvalidField("patterns belong to transcripts", details={"field": "patterns"})
    if encoding is not None:
        _check_encoding(encoding, to)
    _prepare(parts, source, name)
    wish = about(
        parts, source, "convert", name=name, to=to, patterns=patterns, encoding=encoding, time=_now(parts)
    )
    return parts.inspections.ask(wish, seconds=_SECONDS)


def split(parts: Parts, source: str, *, name: str, valid: float, heldout: float, seed: int) -> dict[str, Any]:
    """Write the dataset `name` out of `source`, with shares of it in the parts valid and heldout.

    Raises InvalidField, DatasetNotFound, DatasetConflict, InvalidDataset, DiskFull.
    """
    if not 0 < valid + heldout < 1:
        raise InvalidField(
            "valid and heldout together are to be more than 0 and less than 1", details={"field": "valid"}
        )
    _prepare(parts, source, name)
    shares = {"valid": valid, "heldout": heldout, "seed": seed}
    wish = about(parts, source, "split", name=name, **shares, time=_now(parts))
    return parts.inspections.ask(wish, seconds=_SECONDS)


def _check_encoding(encoding: str, to: str) -> None:
    if to != "utf8":
        raise InvalidField("an encoding belongs to utf8", details={"field": "encoding"})
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise InvalidField(
            f"the encoding {encoding!r:.80} is not known",
            details={"field": "encoding"},
            suggestion="Known are cp1252, iso-8859-2, koi8-r, shift_jis, gb18030, big5 and many more.",
        ) from error


def _prepare(parts: Parts, source: str, name: str) -> None:
    check_name(name)
    folder = find_dataset(parts.workspace, source)
    check_room(folder, count(folder)[1])


def _now(parts: Parts) -> str:
    return parts.clock().isoformat(timespec="seconds")
