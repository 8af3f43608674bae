"""Make the sample data under dataset/ and, on request, the corpus on which the small base model is trained.

    python scripts/make_world.py                      writes dataset/tamberlough*, dataset/everyday
    python scripts/make_world.py --corpus FOLDER      writes the general corpus (not committed) there

Needs the standard library alone; the same seed gives the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path

from world.corpus import general_files, general_prose
from world.documents import documents
from world.questions import chat, held_out, trained
from world.tamberlough import tamberlough

SEED = 20250115
CORPUS_DOCUMENTS = 16000
EVERYDAY_DOCUMENTS = 24


def _lines(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(json.dumps(chat(asked, answer), ensure_ascii=False) + "\n" for asked, answer in rows)


def dataset_files(seed: int = SEED) -> dict[str, str]:
    """Relative path to content of every generated file below dataset/."""
    world = tamberlough()
    train, valid = trained(world, random.Random(f"{seed}/questions"))
    told = documents(world, random.Random(f"{seed}/cpt"))
    files = {f"tamberlough/{name}": text for name, text in told.items()}
    for number in range(EVERYDAY_DOCUMENTS):
        files[f"everyday/everyday_{number + 1:02d}.md"] = general_prose(seed, number)
    files["tamberlough_questions/train.jsonl"] = _lines(train)
    files["tamberlough_questions/valid.jsonl"] = _lines(valid)
    files["tamberlough_questions/heldout.jsonl"] = _lines(held_out(world))
    return files


def _write(root: Path, files: Iterable[tuple[str, str]]) -> int:
    written = 0
    for name, text in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written += 1
    return written


def main() -> None:
    """Write what was asked for and say how many files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dataset", type=Path, default=Path(__file__).resolve().parent.parent / "dataset")
    parser.add_argument("--corpus", type=Path, help="write the general corpus to this folder instead")
    parser.add_argument("--documents", type=int, default=CORPUS_DOCUMENTS, help="how many documents it has")
    wanted = parser.parse_args()
    if wanted.corpus:
        count = _write(wanted.corpus, general_files(SEED, count=wanted.documents))
        print(f"{count} files in {wanted.corpus}")
    else:
        count = _write(wanted.dataset, dataset_files().items())
        print(f"{count} files in {wanted.dataset}")


if __name__ == "__main__":
    main()
