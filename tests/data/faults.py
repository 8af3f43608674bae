"""The corpus of faults: files as users bring them, and what must come of each before anything is trained on.

Each file is put beside others that are good, so that what is refused is refused for its own sake.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet

GOOD = b'{"prompt": "When?", "completion": "On Monday."}\n'
TABLE = b"question,answer\nWhen?,On Monday.\n"
TEXT = "# The market\n\nThe market is held every Monday, from morning until the bell rings.\n"


@dataclass(frozen=True)
class Fault:
    """A file with a fault: its name, its bytes, the line that is named, and words of the reason."""

    file: str
    data: bytes
    line: int | None
    reason: str
    training_type: str = "ift"


def rows(data: bytes, line: int | None, reason: str) -> Fault:
    return Fault("faulty.jsonl", data, line, reason)


def document(file: str, data: bytes, line: int | None, reason: str) -> Fault:
    return Fault(file, data, line, reason, "cpt")


def parquet_of(*columns: tuple[str, list[object]]) -> bytes:
    names, values = zip(*columns, strict=True)
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(v) for v in values], names), file)
    return file.getvalue()


def parquet(**columns: list[object]) -> bytes:
    return parquet_of(*columns.items())


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return file.getvalue()


ROW_FAULTS = {
    "utf-16": rows(GOOD.decode().encode("utf-16"), None, "is UTF-16, not UTF-8"),
    "utf-32": rows(GOOD.decode().encode("utf-32"), None, "is UTF-32, not UTF-8"),
    "utf-16 without a mark": rows(GOOD.decode().encode("utf-16-le"), 1, "NUL"),
    "latin-1": rows(
        GOOD + '{"prompt": "é", "completion": "b"}\n'.encode("latin-1"), 2, "byte 0xe9 at column 13"
    ),
    "NUL byte": rows(GOOD + b'{"prompt": "a\0", "completion": "b"}\n', 2, "NUL"),
    "NUL escape": rows(b'{"prompt": "a\\u0000", "completion": "b"}\n', 1, "'prompt' has a NUL"),
    "half a line": rows(GOOD + b'{"prompt": "When?", "compl', 2, "is not JSON"),
    "not JSON": rows(b"When? On Monday.\n", 1, "is not JSON"),
    "two objects on a line": rows(GOOD.strip() + GOOD, 1, "Extra data"),
    "single quotes": rows(b"{'prompt': 'a', 'completion': 'b'}\n", 1, "is not JSON"),
    "an array of objects": rows(b"[\n" + GOOD + b"]\n", 1, "JSON array"),
    "an array as a row": rows(GOOD + b'["a", "b"]\n', 2, "is an array, not an object"),
    "a number as a row": rows(b"17\n", 1, "is a number, not an object"),
    "null as a row": rows(b"null\n", 1, "is null"),
    "text as a row": rows(b'"When?"\n', 1, "is text"),
    "deep nesting": rows(b'{"prompt": ' + b"[" * 100_000 + b"\n", 1, "deeply nested"),
    "a number without end": rows(b'{"prompt": ' + b"9" * 10_000 + b"}\n", 1, "number too long"),
    "missing key": rows(b'{"prompt": "When?"}\n', 1, "'completion' is missing"),
    "unknown keys": rows(b'{"wann": "When?", "dann": "Now"}\n', 1, "none of the known keys"),
    "null": rows(b'{"prompt": "When?", "completion": null}\n', 1, "'completion' is null"),
    "number": rows(b'{"prompt": "When?", "completion": 17}\n', 1, "'completion' is a number"),
    "NaN": rows(b'{"prompt": "When?", "completion": NaN}\n', 1, "'completion' is a number"),
    "true": rows(b'{"prompt": true, "completion": "a"}\n', 1, "'prompt' is true or false"),
    "empty text": rows(b'{"prompt": "When?", "completion": ""}\n', 1, "'completion' is empty"),
    "blank text": rows(b'{"prompt": " \\n\\t ", "completion": "a"}\n', 1, "'prompt' is empty"),
    "lone surrogate": rows(b'{"prompt": "\\ud83d", "completion": "a"}\n', 1, "lone surrogate"),
    "one giant line": rows(
        GOOD + b'{"prompt": "' + b"a" * (16 * 2**20) + b'", "completion": "b"}\n', 2, "longer than 16 MiB"
    ),
    "instruction without output": rows(b'{"instruction": "Do it"}\n', 1, "'output' is missing"),
    "input that is a list": rows(
        b'{"instruction": "a", "input": [1], "output": "b"}\n', 1, "'input' is an array"
    ),
    "messages that are text": rows(b'{"messages": "hello"}\n', 1, "'messages' is text, not a list"),
    "no messages": rows(b'{"messages": []}\n', 1, "no assistant message"),
    "no answer": rows(b'{"messages": [{"role": "user", "content": "a"}]}\n', 1, "no assistant message"),
    "message that is text": rows(b'{"messages": ["hello"]}\n', 1, "message 1 is text"),
    "unknown role": rows(b'{"messages": [{"role": "bot", "content": "a"}]}\n', 1, "role 'bot'"),
    "role that is a list": rows(b'{"messages": [{"role": [], "content": "a"}]}\n', 1, "role []"),
    "message without content": rows(
        b'{"messages": [{"role": "assistant"}]}\n', 1, "message 1: 'content' is missing"
    ),
    "empty answer": rows(
        b'{"messages": [{"role": "assistant", "content": ""}]}\n', 1, "message 1: 'content' is empty"
    ),
    "unknown speaker": rows(
        b'{"conversations": [{"from": "cat", "value": "a"}]}\n', 1, "message 1 has 'from' 'cat'"
    ),
    "preferences": rows(b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n', None, "holds preferences"),
}

TABLE_FAULTS = {
    "csv in utf-16": Fault("faulty.csv", TABLE.decode().encode("utf-16"), None, "is UTF-16"),
    "csv in latin-1": Fault("faulty.csv", TABLE + "é,b\n".encode("latin-1"), 3, "byte 0xe9"),
    "csv with an open quote": Fault("faulty.csv", TABLE + b'a,"b\nc,d\n', 3, "does not end"),
    "csv with too many cells": Fault("faulty.csv", TABLE + b"a,b,c\n", 3, "has 3 cells"),
    "csv with a cell missing": Fault("faulty.csv", TABLE + b"Why?\n", 3, "'answer' is missing"),
    "csv with an empty cell": Fault("faulty.csv", TABLE + b"Why?,\n", 3, "'answer' is empty"),
    "csv with NUL": Fault("faulty.csv", TABLE + b"Why\0,b\n", 3, "'question' has a NUL"),
    "csv with unknown columns": Fault("faulty.csv", b"a,b\nc,d\n", 2, "none of the known keys"),
    "csv with two columns of one name": Fault(
        "faulty.csv", b"question,question\na,b\n", 1, "has 2 columns called"
    ),
    "tsv that is a csv": Fault("faulty.tsv", TABLE, 2, "none of the known keys"),
    "json cut off": Fault("faulty.json", b"[" + GOOD + b",\n" + GOOD[:20], 3, "is not JSON"),
    "json of numbers": Fault("faulty.json", b"[1]", 1, "is a number, not an object"),
    "json of settings": Fault("faulty.json", b'{"lr": 1, "steps": [1, 2]}', 1, "none of the known keys"),
    "parquet cut off": Fault("faulty.parquet", parquet(prompt=["a"])[:-9], 1, "not a parquet file"),
    "parquet that is text": Fault("faulty.parquet", TABLE, 1, "not a parquet file"),
    "parquet with two columns of one name": Fault(
        "faulty.parquet",
        parquet_of(("prompt", ["a"]), ("answer", ["b"]), ("answer", ["c"])),
        None,
        "has 2 columns",
    ),
    "parquet with a giant row": Fault(
        "faulty.parquet",
        parquet(prompt=["a", "b" * (2**24 + 1)], completion=["c", "d"]),
        2,
        "longer than 16 MiB",
    ),
    "parquet with null": Fault(
        "faulty.parquet", parquet(prompt=["a", "b"], completion=["c", None]), 2, "'completion' is null"
    ),
    "parquet with bytes": Fault(
        "faulty.parquet", parquet(prompt=[b"a"], completion=["c"]), 1, "'prompt' is bytes, not text"
    ),
}

DOCUMENT_FAULTS = {
    "text with NUL": document("faulty.txt", b"one\ntwo\0\n", 2, "has a NUL"),
    "text with a broken byte": document("faulty.md", TEXT.encode() + b"caf\xc3 \n", 4, "is not UTF-8"),
    "pdf that is none": document("faulty.pdf", b"%PDF-1.7\nhello", None, "is damaged"),
    "docx that is no archive": document("faulty.docx", b"hello", None, "is damaged"),
    "epub without a book": document("faulty.epub", archive(**{"a.txt": b"hello"}), None, "container.xml"),
    "text rows with an empty one": document("faulty.jsonl", b'{"text": "a"}\n{"text": ""}\n', 2, "is empty"),
    "text rows with a text missing": document("faulty.csv", b"id,text\n1,a\n2\n", 3, "'text' is missing"),
}

FAULTS = {**ROW_FAULTS, **TABLE_FAULTS, **DOCUMENT_FAULTS}

_WINDOWS = GOOD.replace(b"\n", b"\r\n")
HARMLESS = {
    "byte order mark": ("other.jsonl", b"\xef\xbb\xbf" + GOOD),
    "windows line ends": ("other.jsonl", _WINDOWS),
    "blank lines": ("other.jsonl", b"\n  \n\r\n" + GOOD + b"\n\t\n"),
    "no newline at the end": ("other.jsonl", GOOD.rstrip(b"\n")),
    "further keys": ("other.jsonl", GOOD.replace(b"{", b'{"id": 7, "meta": {"a": null}, ')),
    "escapes": ("other.jsonl", GOOD.replace(b"When", b"Wh\\u0065n")),
    "white space around": ("other.jsonl", b"   " + GOOD.strip() + b"   \n"),
    "csv with a byte order mark": ("other.csv", b"\xef\xbb\xbf" + TABLE),
    "csv with windows line ends": ("other.csv", TABLE.replace(b"\n", b"\r\n")),
    "csv with semicolons": ("other.csv", TABLE.replace(b",", b";")),
    "json with a byte order mark": ("other.json", b"\xef\xbb\xbf[" + GOOD + b"]"),
    "json within an object": ("other.json", json.dumps({"data": [json.loads(GOOD)]}).encode()),
    "parquet": ("other.parquet", parquet(prompt=["When?"], completion=["On Monday."])),
}
"""Files of one row: When? On Monday."""

HARMLESS_DOCUMENTS = {
    "byte order mark": ("other.txt", b"\xef\xbb\xbf" + TEXT.encode()),
    "windows line ends": ("other.md", TEXT.encode().replace(b"\n", b"\r\n")),
    "utf-16 with a mark": ("other.txt", TEXT.encode("utf-16")),
    "an empty file": ("other.txt", b""),
    "a text column": ("other.csv", b"id,text\n1,The market\n"),
}


def write_good(folder: Path) -> None:
    """A dataset that can be trained on, with `batch_size` up to 4, either way."""
    folder.mkdir(parents=True)
    lines = [{"prompt": f"Who is number {n}?", "completion": f"Person {n}."} for n in range(12)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for n in range(6):
        (folder / f"{n}.md").write_text(f"# Number {n}\n\n" + f"Something about {n} is told here. " * 40)
