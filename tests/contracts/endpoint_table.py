"""The table of endpoints, docs/endpoints.md: what documents say beside what servers were seen to answer.

A document's section is made of the sightings of one test module. Nothing in it changes from run to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.contracts.documented import Document, Endpoint
from tests.contracts.shape import types
from tests.contracts.sightings import Sighting, Sightings
from tests.contracts.strictness import mismatch

FILE = Path(__file__).resolve().parents[2] / "docs" / "endpoints.md"
STREAM = "text/event-stream"


def gaps(document: Document, seen: Sightings) -> list[str]:
    """What was promised and not seen: endpoints, requests, keys, types; where it is strict, keys too much."""
    return [
        f"{mount}{endpoint.words}: {gap}"
        for endpoint in document.endpoints
        for mount in document.mounts
        for gap in _gaps(document, endpoint, mount, seen)
    ] + [
        f"{s.method} {s.mount}{s.path} ({s.status}): {gap}"
        for s in seen
        if _is_error(s)
        for gap in mismatch(document.error, s.answer, strict=s.mount == document.strict)
    ]


def rows(document: Document, seen: Sightings) -> dict[str, str]:
    """The rows of the endpoints that were seen, and that of failures, by the words they begin with."""
    found = {e.words: _row(document, e, seen) for e in document.endpoints if _answers(document, e, seen)}
    failed = sorted({s.status for s in seen if _is_error(s)})
    if failed and document.error is not None:
        columns = ["Any, where it fails", "", ", ".join(map(str, failed)), _keys(document.error, {})]
        found["failures"] = _line([*columns, *(_verdict([], mount, document) for mount in document.mounts)])
    return found


def section(document: Document, seen: Sightings) -> str:
    """The part of the page that is this document's."""
    heads = ["Endpoint", "Request", "Status", "Keys of the answer", *document.mounts.values()]
    lines = [
        f"## {document.title}",
        "",
        _line(heads),
        _line(["---"] * len(heads)),
        *rows(document, seen).values(),
    ]
    return "\n".join(lines) + "\n"


def committed(document: Document) -> str:
    """Its part as it is in the checkout; empty where there is none."""
    return next((part for title, part in _parts() if title == document.title), "")


def write(document: Document, text: str) -> None:
    """Put the section in place of the one there is, or behind all others."""
    page = FILE.read_text(encoding="utf-8")
    known = committed(document)
    FILE.write_text(page.replace(known, text) if known else f"{page}\n{text}", encoding="utf-8")


def _parts() -> Iterator[tuple[str, str]]:
    for part in re.split(r"^(?=## )", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        yield part.splitlines()[0].removeprefix("## "), part.rstrip("\n") + "\n"


def _answers(document: Document, endpoint: Endpoint, seen: Iterable[Sighting]) -> list[Sighting]:
    pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", endpoint.path))
    exact = {e.path for e in document.endpoints if e.method == endpoint.method} - {endpoint.path}
    return [
        s
        for s in seen
        if s.method == endpoint.method
        and s.status < 400
        and s.mount in document.mounts
        and pattern.fullmatch(s.path)
        and s.path not in exact
    ]


def _gaps(document: Document, endpoint: Endpoint, mount: str, seen: Sightings) -> Iterator[str]:
    answers = [s for s in _answers(document, endpoint, seen) if s.mount == mount]
    if not answers:
        yield "no answer was seen"
        return
    asked = types(endpoint.request).keys() if endpoint.request is not None else set()
    if not any(asked <= s.sent for s in answers):
        yield f"no request had all of {', '.join(sorted(asked))}"
    if endpoint.answer is None:
        return
    if isinstance(endpoint.answer, str):
        yield from (f"it is {s.answer}" for s in answers if s.answer != endpoint.answer)
        return
    # What is streamed has no documented keys.
    bodies = [s.answer for s in answers if s.answer != STREAM]
    for body in bodies:
        yield from mismatch(endpoint.answer, body, strict=mount == document.strict)
    yield from _valueless(endpoint, bodies)


def _valueless(endpoint: Endpoint, bodies: list[object]) -> Iterator[str]:
    found = types(bodies)
    for place, kind in types(endpoint.answer).items():
        value = found.get(f"[].{place}" if place[:1] != "[" else f"[]{place}", "null") != "null"
        if place not in endpoint.null and not value and kind not in ("array", "object"):
            yield f"{place} was never seen with a value"


def _row(document: Document, endpoint: Endpoint, seen: Sightings) -> str:
    answers = _answers(document, endpoint, seen)
    statuses = ", ".join(sorted({str(s.status) for s in answers}))
    asked = "" if endpoint.request is None else ", ".join(f"`{place}`" for place in types(endpoint.request))
    missing = {mount: list(_gaps(document, endpoint, mount, seen)) for mount in document.mounts}
    has_keys = endpoint.answer is not None and not isinstance(endpoint.answer, str)
    verdicts = [
        _verdict(found, mount, document) if found or has_keys else "answered"
        for mount, found in missing.items()
    ]
    return _line([f"`{endpoint.words}`", asked, statuses, _keys(endpoint.answer, endpoint.null), *verdicts])


def _verdict(found: list[str], mount: str, document: Document) -> str:
    if found:
        return "; ".join(found)
    return "all, no others" if mount == document.strict else "all"


def _keys(answer: object, null: object) -> str:
    if answer is None:
        return "not shown"
    if isinstance(answer, str):
        return answer
    return ", ".join(f"`{place}`: {_kind(place, kind, null)}" for place, kind in types(answer).items())


def _kind(place: str, kind: str, null) -> str:
    if place not in null:
        return kind
    return f"{kind if kind == 'null' else f'{kind} or null'} ({null[place]})"


def _is_error(sighting: Sighting) -> bool:
    return 400 <= sighting.status < 500 or sighting.status == 501


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
