"""What a dataset is shown as on a terminal: its files, its rows, its tokens, its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

import click

from forgellm.cli.answers import harmless
from forgellm.cli.errors import printable
from forgellm.cli.tables import size

_SHOWN = 20
_LONGEST = 300
_BAR = 40


def described(found: Mapping[str, Any]) -> Iterator[str]:
    """Each file with its shape and the reason."""
    for file in found["files"]:
        out = " (left out)" if file["whole_file_excluded"] else ""
        yield printable(f"{file['file']}  {size(file['size_bytes'])}, {file['part']}{out}: {_shape(file)}")
        if file["layout"]:
            yield f"  read as {file['layout']}"
    documents = found["documents"]
    for file in documents[:_SHOWN]:
        out = " (left out)" if 0 in found["decisions"]["excluded"].get(file["file"], ()) else ""
        yield printable(f"{file['file']}  {size(file['size_bytes'])}, a document{out}")
    if found["document_count"] > _SHOWN:
        yield f"… and {found['document_count'] - _SHOWN} more documents"


def row_lines(page: Mapping[str, Any]) -> Iterator[str]:
    """Rows as what they are taken for."""
    for row in page["rows"]:
        yield ""
        place = page["file"] or (row["values"] or {}).get("file", "")
        yield printable(f"— {place}" + ("" if row["line"] is None else f", line {row['line']}"))
        if row["excluded"]:
            yield "  left out by decision"
        if row["note"]:
            yield printable(f"  {row['note']}")
        if row["problem"]:
            yield printable(f"  cannot be used: {row['problem']['reason']}")
            if row["problem"]["suggestion"]:
                yield printable(f"  {row['problem']['suggestion']}")
        for said in row["messages"] or ():
            yield f"  {said['role']}: {_short(said['content'])}"
        for part, messages in (row["preference"] or {}).items():
            for said in messages:
                yield f"  {part}, {said['role']}: {_short(said['content'])}"
        if row["text"] is not None:
            yield f"  {_short(row['text'])}"


def preview_lines(found: Mapping[str, Any], *, colour: bool) -> Iterator[str]:
    """Rows of tokens: what is learned is green, or between marks."""
    for row in found["rows"]:
        place = row["file"] + ("" if row["line"] is None else f", line {row['line']}")
        chunk = f", chunk {row['chunk']} of {row['chunks'] or 'many'}" if row["chunk"] else ""
        yield printable(f"— {place}{chunk}: {row['tokens']} tokens, {row['learned']} learned")
        if row["problem"]:
            yield printable(f"  cannot be trained on: {row['problem']}")
            continue
        yield "".join(_spans(row["pieces"], colour=colour))
        if row["cut"]:
            yield f"  … {row['cut']} tokens are cut off here, at {found['max_seq_length']}"
        yield ""
    for problem in found["problems"]:
        line = "" if problem["line"] is None else f", line {problem['line']}"
        yield printable(f"{problem['file']}{line}: {problem['reason']}")


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report in sentences, then a histogram where lengths were counted, then the problems."""
    for sentence in report["summary"]:
        yield printable(sentence)
    for kind in ("examples", "documents"):
        found = (report["trained_on"] or {}).get(kind)
        if found:
            yield ""
            yield f"Lengths of {kind} in tokens ({found['cut']} longer than {report['max_seq_length']}):"
            yield from _histogram(found["bins"])
    if report["problems"]:
        yield ""
    for problem in report["problems"][:_SHOWN]:
        line = "" if problem["line"] is None else f", line {problem['line']}"
        yield printable(f"{problem['file']}{line}: {problem['reason']}. {problem['suggestion']}".rstrip())
    if report["problem_count"] > _SHOWN:
        yield f"… and {report['problem_count'] - _SHOWN} more; --json lists the first thousand."
    if report["refused"] and report["usable"]:
        model = f" --model {quote(report['model'])}" if report["model"] else ""
        command = f"forgellm datasets exclude {quote(report['dataset'])} --refused{model}"
        yield printable(f"To leave out whatever cannot be used: {command}")
    for note in report["notes"][:_SHOWN]:
        yield printable(f"Note: {note['file']}: {note['reason']}")


def _shape(file: Mapping[str, Any]) -> str:
    if file["shape"] is None:
        return f"not recognised: {file['reason']}"
    others = f" (might be {' or '.join(file['alternatives'])})" if file["alternatives"] else ""
    return f"{file['shape']}, {file['reason']}{others}"


def _short(text: str) -> str:
    plain = " ".join(harmless(text).split())
    return plain if len(plain) <= _LONGEST else plain[:_LONGEST] + "…"


def _spans(pieces: Sequence[Mapping[str, Any]], *, colour: bool) -> Iterator[str]:
    text, learned = "", False
    for piece in pieces:
        if piece["learned"] is not learned:
            yield _span(text, learned=learned, colour=colour)
            text, learned = "", piece["learned"]
        text += piece["text"]
    yield _span(text, learned=learned, colour=colour)


def _span(text: str, *, learned: bool, colour: bool) -> str:
    shown = harmless(text)
    if not learned or not shown:
        return shown
    return click.style(shown, fg="green", bold=True) if colour else f"⟦{shown}⟧"


def _histogram(bins: Sequence[Sequence[int]]) -> Iterator[str]:
    most = max((count for _, count in bins), default=1) or 1
    for bound, count in bins:
        yield f"  up to {bound:>7,}  {count:>9,}  {'█' * round(_BAR * count / most)}"
