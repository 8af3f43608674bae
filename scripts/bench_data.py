"""Tokenising a dataset against a plain loop of the same tokenizer; `scripts/bench data` runs it.

The text is generated, the same every time, with headings, paragraphs and code. Each measurement is a process
of its own, so that its peak memory is its own. Ours reads, checks, tokenises, splits, cuts and writes a
corpus; the loop only reads and tokenises. Only the ratios mean anything on another machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from verdicts import Row, at_least, at_most, finish

from forgellm.data.corpus import build_corpus
from forgellm.data.token_cache import TokenCache
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.spec import parse_spec

MODEL = Path(__file__).resolve().parents[1] / "forgellm" / "assets" / "lough-tiny"
MAX_SEQ_LENGTH = 2048
LOOPED = 5
"""Megabytes that the plain loop reads: its speed does not depend on how many they are."""

WANTED_RATIO = 1.2
WANTED_MEMORY = 1.2
WANTED_START = 0.1


@dataclass(frozen=True)
class Measured:
    """One process: megabytes of text, seconds, its peak memory in megabytes and the corpus it made."""

    megabytes: float
    seconds: float
    peak: float
    tokens: int
    fill: float | None = None
    fingerprint: str | None = None

    @property
    def speed(self) -> float:
        return self.megabytes / self.seconds


def write_text(folder: Path, megabytes: int) -> None:
    """Markdown documents of 2 KB to 500 KB."""
    rng = np.random.default_rng(3)
    words = np.array(list(_words(rng)), dtype=object)
    weights = 1 / np.arange(1, len(words) + 1)
    shares = weights / weights.sum()
    folder.mkdir(parents=True)
    written = number = 0
    while written < megabytes * 1_000_000:
        size = int(np.clip(rng.lognormal(10.0, 1.2), 2_000, 500_000))
        drawn = rng.choice(words, size // 6, p=shares)
        text = "".join(_paragraphs(drawn.tolist(), number))
        (folder / f"{number:06}.md").write_text(text, encoding="utf-8")
        written += len(text)
        number += 1


def _words(rng: np.random.Generator) -> Iterator[str]:
    syllables = [
        "ma",
        "ke",
        "t",
        "bri",
        "n",
        "oo",
        "r",
        "sal",
        "lam",
        "pen",
        "qu",
        "ay",
        "del",
        "wa",
        "ter",
        "st",
    ]
    for count in rng.integers(1, 5, 20_000):
        yield "".join(rng.choice(syllables, count))


def _paragraphs(words: list[str], number: int) -> Iterator[str]:
    yield f"# Document {number}\n\n"
    for n, start in enumerate(range(0, len(words), 80)):
        part = words[start : start + 80]
        if n % 9 == 8:
            yield (
                f"## {' '.join(part[:4])}\n\n```py\n"
                + "".join(f"{w} = {len(w)}\n" for w in part[4:20])
                + "```\n\n"
            )
        yield ". ".join(" ".join(part[i : i + 12]).capitalize() for i in range(0, len(part), 12)) + ".\n\n"


def loop(folder: Path) -> Measured:
    """One document after the other, up to `LOOPED` megabytes."""
    backend = load_tokenizer(MODEL).backend_tokenizer
    started, read, tokens = time.perf_counter(), 0, 0
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8")
        tokens += len(backend.encode(text).ids)
        read += len(text)
        if read >= LOOPED * 1_000_000:
            break
    return Measured(read / 1e6, time.perf_counter() - started, _peak(), tokens)


def build(folder: Path) -> Measured:
    """From the files to the corpus of a run, with a cache beside the dataset."""
    tokenizer = load_tokenizer(MODEL)
    spec = parse_spec({"model_name": "bench", "training_type": "cpt", "dataset": folder.name})
    size = sum(path.stat().st_size for path in folder.iterdir())
    run = Path(tempfile.mkdtemp(dir=folder.parent))
    started = time.perf_counter()
    corpus = build_corpus(
        run,
        spec=spec,
        max_seq_length=MAX_SEQ_LENGTH,
        dataset=folder,
        general=None,
        tokenizer=tokenizer,
        vocab_size=len(tokenizer),
        cache=TokenCache(folder.with_name(f"{folder.name}-tokens")),
    )
    seconds, peak = time.perf_counter() - started, _peak()
    fill = float(np.mean(corpus.train.lengths)) / MAX_SEQ_LENGTH
    measured = Measured(size / 1e6, seconds, peak, len(corpus.train.tokens), fill, corpus.fingerprint)
    shutil.rmtree(run)
    return measured


def _peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


PARTS: dict[str, Callable[[Path], Measured]] = {"loop": loop, "build": build}


def measure(part: str, folder: Path) -> Measured:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(**json.loads(found.stdout.splitlines()[-1]))


def compare(sizes: list[int], say: Callable[[str], None]) -> list[Row]:
    """Every size in turn, each between two loops; the speed is the median of the ratios to those."""
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[int, Measured] = {}
        ratios: list[float] = []
        for size in sizes:
            folder = Path(scratch, f"text{size}")
            write_text(folder, size)
            before = measure("loop", folder)
            one = found[size] = measure("build", folder)
            after = measure("loop", folder)
            ratios.append(one.speed / ((before.speed + after.speed) / 2))
            say(
                f"  {one.megabytes:.0f} MB: {one.speed:.2f} MB/s, peak {one.peak:.0f} MB, {one.fill:.1%} full"
            )
            say(f"  a plain loop before and after: {before.speed:.2f} and {after.speed:.2f} MB/s")
        again = measure("build", folder)
    largest, smallest = found[sizes[-1]], found[sizes[0]]
    say(f"  second start: {again.seconds:.2f} s after {largest.seconds:.1f} s")
    if again.fingerprint != largest.fingerprint:
        raise SystemExit("the second start made another corpus")
    return [
        at_least("speed over a plain loop", statistics.median(ratios), WANTED_RATIO),
        at_most(f"peak memory, {sizes[-1]} over {sizes[0]} MB", largest.peak / smallest.peak, WANTED_MEMORY),
        at_most("second start over the first", again.seconds / largest.seconds, WANTED_START),
    ]


def main() -> int:
    """Print a table and, with --json, the same as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200], help="megabytes of text")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(asdict(PARTS[options.part](options.folder))))
        return 0
    say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    return finish(compare(options.sizes, say), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
