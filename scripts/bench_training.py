"""Training speed against mlx-lm's own trainer, side by side in one process; `scripts/bench training` runs it.

Both train the same random llama with LoRA on the same texts, each in its own process, step by step in turns:
whatever else the machine does falls on both. The first epoch is not counted: there compiling is paid for, and
mlx-lm traces its step for every width. A speed counts true tokens, never padding, over the steps' seconds.
Only the ratios mean anything on another machine. What is learned by then: `scripts/bench learning`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx_lm.models import llama
from mlx_lm.tuner.datasets import CacheDataset
from mlx_lm.tuner.trainer import TrainingArgs
from mlx_lm.tuner.trainer import train as mlx_lm_train
from turns import Clock, in_turns
from verdicts import Row, at_least, chosen, finish

from forgellm.data.chunks import rows
from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences, choose, join
from forgellm.data.structure import DOCUMENT
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.storage.adapters import config_of
from forgellm.training.adapters import attach
from forgellm.training.loop import Plan, TrainingLoop
from forgellm.training.objective_of import order_of
from forgellm.training.packing import pack


@dataclass(frozen=True)
class Case:
    """One comparison and the ratio that must be reached, if one is promised. `lengths` are of examples, or of
    `documents`; the first `asked` of an example is its question, which is not learned."""

    name: str
    lengths: list[int]
    batch_size: int
    max_seq_length: int
    wanted: float | None
    packing: int | None = None
    asked: float = 0.0
    documents: bool = False
    vocabulary: int = 4096

    def ours(self) -> Sequences:
        """What we train on: examples as they are, documents in rows."""
        given = self.theirs()
        if not self.documents:
            return given
        marks = [np.array([DOCUMENT] + [1] * (n - 1), np.uint8) for n in given.lengths.tolist()]
        blocks = ((given[i][0], marks[i]) for i in range(len(given)))
        return join(rows(blocks, length=self.max_seq_length))

    def theirs(self) -> Sequences:
        """What mlx-lm trains on: one example or document in a row."""
        rng = np.random.default_rng(1)
        drawn = (rng.integers(0, self.vocabulary, n).astype(np.int32) for n in self.lengths)
        return join((ids, np.arange(len(ids)) >= self.asked * len(ids)) for ids in drawn)

    @property
    def true_tokens(self) -> tuple[int, int]:
        """Tokens of an epoch that are none of padding: ours and mlx-lm's, which cuts long rows off."""
        return sum(self.lengths), sum(min(n, self.max_seq_length) for n in self.lengths)


def chat_lengths(count: int, longest: int, seed: int) -> list[int]:
    """Lengths like a chat dataset's: mean 110, median 71, 99th percentile about 600 tokens."""
    drawn = np.random.default_rng(seed).lognormal(np.log(71), 0.936, count)
    return [int(n) for n in np.clip(drawn, 8, longest)]


def document_lengths(count: int, longest: int, seed: int) -> list[int]:
    """Lengths like notes and articles: median 240 tokens, some longer than a row, which mlx-lm cuts off."""
    drawn = np.random.default_rng(seed).lognormal(np.log(240), 0.8, count)
    return [int(n) for n in np.clip(drawn, 16, longest)]


def a_model(vocabulary: int) -> nn.Module:
    """A random float32 llama of 3 million parameters and those of its vocabulary, the same in every round."""
    mx.random.seed(0)
    model: nn.Module = llama.Model(
        llama.ModelArgs(
            model_type="llama",
            hidden_size=192,
            num_hidden_layers=4,
            intermediate_size=512,
            num_attention_heads=6,
            num_key_value_heads=3,
            rms_norm_eps=1e-5,
            vocab_size=vocabulary,
        )
    )
    model.freeze()
    mx.eval(model.parameters())
    return model


def a_spec(case: Case, steps: int) -> TrainingSpec:
    return parse_spec(
        {
            "model_name": "bench",
            "training_type": "cpt",
            "dataset": "bench",
            "lora_rank": 8,
            "batch_size": case.batch_size,
            "packing": case.packing,
            "max_iterations": steps,
            "max_grad_norm": None,
            "eval_every": 10**6,
            "save_every": 10**6,
        }
    )


def our_seconds(case: Case, epochs: int, turns: Connection) -> list[float]:
    sequences = case.ours()
    corpus = Corpus(sequences, choose(sequences, [0]), None, "bench", {})
    packing = None if case.packing is None else pack(sequences.lengths, case.packing, seed=0)
    order = order_of(a_spec(case, 1), corpus, packing)
    steps = (1 + epochs) * order.batches_per_epoch
    spec = a_spec(case, steps)
    model = a_model(case.vocabulary)
    attach(model, config_of(spec))
    clock = Clock(turns, steps)

    def emit(type: str, **values: Any) -> None:
        if type == "train":
            clock.tick()

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "models", "cpt", "bench")
        run.mkdir(parents=True)
        plan = Plan(run, spec, corpus, order, steps, "bench", packing)
        loop = TrainingLoop(
            plan,
            model,
            emit=emit,
            control=lambda: "run",
            monotonic=time.perf_counter,
            compiled=mx.default_device() == mx.gpu,
        )
        clock.wait()
        loop.run()
    return clock.epochs(epochs)


class Rows:
    """What `mlx_lm.lora --mask-prompt` wraps in a CacheDataset: rows that are tokenised on first use."""

    def __init__(self, sequences: Sequences) -> None:
        each = (sequences[i] for i in range(len(sequences)))
        self._rows = [{"text": ids.tolist(), "asked": int(np.argmax(learned))} for ids, learned in each]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[index]

    def process(self, row: dict[str, Any]) -> tuple[list[int], int]:
        return row["text"], row["asked"]


class Reports:
    """mlx-lm's callback."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_train_loss_report(self, info: dict[str, Any]) -> None:
        self._clock.tick()


def their_seconds(case: Case, epochs: int, turns: Connection) -> list[float]:
    sequences = case.theirs()
    # It drops what does not fill a batch.
    steps = (1 + epochs) * (len(sequences) // case.batch_size)
    spec = a_spec(case, steps)
    model = a_model(case.vocabulary)
    attach(model, config_of(spec))
    clock = Clock(turns, steps)
    np.random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        clock.wait()
        mlx_lm_train(
            model,
            optim.AdamW(spec.learning_rate, weight_decay=spec.weight_decay),
            CacheDataset(Rows(sequences)),
            args=TrainingArgs(
                batch_size=case.batch_size,
                iters=steps,
                steps_per_report=1,
                steps_per_save=10**6,
                max_seq_length=case.max_seq_length,
                adapter_file=f"{folder}/adapters.safetensors",
            ),
            training_callback=Reports(clock),
        )
    return clock.epochs(epochs)


def judged(case: Case, ours: list[float], theirs: list[float]) -> Row:
    """The ratio of the speeds, the median of the epochs, from their seconds."""
    our_speeds, their_speeds = (
        [tokens / one for one in seconds]
        for tokens, seconds in zip(case.true_tokens, (ours, theirs), strict=True)
    )
    ratios = [a / b for a, b in zip(our_speeds, their_speeds, strict=True)]
    return at_least(
        case.name,
        statistics.median(ratios),
        case.wanted,
        ratios=ratios,
        forgellm_tokens_per_second=statistics.median(our_speeds),
        mlx_lm_tokens_per_second=statistics.median(their_speeds),
    )


def compare(case: Case, *, epochs: int, say: Callable[[str], None]) -> Row:
    """Train both and judge them."""
    row = judged(case, *in_turns(case, epochs, (our_seconds, their_seconds)))
    each = ", ".join(f"{one:.2f}" for one in row["ratios"])
    speeds = [f"{row[f'{name}_tokens_per_second']:.0f}" for name in ("forgellm", "mlx_lm")]
    say(f"  {case.name}: {' against '.join(speeds)} true tokens/s; by epochs {each}")
    return row


_PACKED = (chat_lengths(40, 512, 2), 1, 512, 1.5)

CASES = [
    Case("256 tokens, batch 4", [256] * 48, 4, 256, 1.0),
    Case("256 tokens, batch 4, 32k vocabulary", [256] * 16, 4, 256, 1.0, vocabulary=32_000),
    Case("chat lengths, batch 8", chat_lengths(128, 1024, 2), 8, 1024, 2.5),
    Case("chat lengths, batch 4", chat_lengths(120, 1024, 2), 4, 1024, 2.0),
    Case("chat lengths, batch 4, 32k vocabulary", chat_lengths(32, 256, 4), 4, 256, 2.0, vocabulary=32_000),
    Case("chat lengths, batch 4, 152k vocabulary", chat_lengths(8, 256, 4), 4, 256, 2.0, vocabulary=152_000),
    # With so few rows there is little but the overhead of short steps to gain on a CPU: nothing is promised.
    Case("chat lengths, batch 1, packed", chat_lengths(40, 512, 2), 1, 512, None, packing=512),
    Case("chat lengths, batch 1, packed, 32k vocabulary", *_PACKED, packing=512, vocabulary=32_000),
    Case("the same, answers alone learned", *_PACKED, packing=512, vocabulary=32_000, asked=0.4),
    Case("documents, batch 4", document_lengths(48, 2048, 3), 4, 512, 1.25, documents=True),
]


def main() -> int:
    """Print a table and, with --json, the same as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=3, help="that are counted, after one that is not")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    cases = chosen(parser, CASES, options.only)
    rows = [compare(case, epochs=options.epochs, say=say) for case in cases]
    return finish(rows, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
