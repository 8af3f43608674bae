"""What is learned from the same texts, against mlx-lm's own trainer; `scripts/bench learning` runs it.

A small random llama learns a language of which each word has four successors, in examples of chat lengths: as
many epochs of the same examples on either side, so as many seen tokens, and about as many of them in each
update. Every arm begins with the same weights and is measured on the same held-out examples by one function.
They have learned alike where their mean losses differ by less than the standard error of one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from bench_training import Rows, chat_lengths
from mlx_lm.models import llama
from mlx_lm.tuner.datasets import CacheDataset
from mlx_lm.tuner.trainer import TrainingArgs
from mlx_lm.tuner.trainer import train as mlx_lm_train
from verdicts import Row, finish, verdict

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences, join
from forgellm.domain.checkpoints import standard_error
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.storage.adapters import config_of
from forgellm.training.adapters import attach
from forgellm.training.loop import Plan, TrainingLoop
from forgellm.training.losses import Measurement, measure
from forgellm.training.objective_of import order_of
from forgellm.training.packing import pack

WORDS = 256
LONGEST = 512
RATE = 3e-3


@dataclass(frozen=True)
class Case:
    """What is compared: our batches, of `packing` tokens each or of examples, and theirs of examples."""

    name: str
    batch_size: int
    their_batch_size: int
    packing: int | None = None


CASES = [
    Case("batches of like length, batch 8", 8, 8),
    Case("packed, 512 tokens against batch 4", 1, 4, packing=512),
]


class Language:
    """Each word has four successors; what follows is drawn. 0.85 nats a word are not to be learned."""

    _CHANCES = (0.7, 0.2, 0.07, 0.03)

    def __init__(self) -> None:
        self._successors = np.random.default_rng(5).integers(1, WORDS, (WORDS, len(self._CHANCES)))

    def examples(self, lengths: Sequence[int], seed: int) -> Sequences:
        rng = np.random.default_rng(seed)
        return join((self._text(n, rng), np.ones(n, np.bool_)) for n in lengths)

    def _text(self, length: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int32]]:
        drawn = rng.choice(len(self._CHANCES), length, p=self._CHANCES)
        words = [int(rng.integers(1, WORDS))]
        for chance in drawn[1:]:
            words.append(int(self._successors[words[-1], chance]))
        return np.array(words, np.int32)


def a_model(spec: TrainingSpec) -> nn.Module:
    """The same random weights for every arm; all blocks learn."""
    mx.random.seed(0)
    model: nn.Module = llama.Model(
        llama.ModelArgs(
            model_type="llama",
            hidden_size=64,
            num_hidden_layers=2,
            intermediate_size=192,
            num_attention_heads=4,
            rms_norm_eps=1e-5,
            vocab_size=WORDS,
        )
    )
    attach(model, config_of(spec))
    mx.eval(model.parameters())
    return model


def a_spec(case: Case, steps: int, seed: int) -> TrainingSpec:
    return parse_spec(
        {
            "model_name": "bench",
            "training_type": "ift",
            "dataset": "bench",
            "fine_tune_type": "full",
            "lr_schedule": "constant",
            "learning_rate": RATE,
            "batch_size": case.batch_size,
            "packing": case.packing,
            "max_iterations": steps,
            "max_grad_norm": None,
            "eval_every": 10**6,
            "save_every": 10**6,
            "seed": seed,
        }
    )


def ours(
    case: Case, train: Sequences, valid: Sequences, *, epochs: int, seed: int
) -> tuple[Measurement, int]:
    """(what it has learned, tokens it has seen)."""
    corpus = Corpus(train, valid, None, "bench", {})
    packing = None if case.packing is None else pack(train.lengths, case.packing, seed=seed)
    order = order_of(a_spec(case, 1, seed), corpus, packing)
    steps = epochs * order.batches_per_epoch
    spec = a_spec(case, steps, seed)
    model = a_model(spec)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "models", "ift", "bench")
        run.mkdir(parents=True)
        loop = TrainingLoop(
            Plan(run, spec, corpus, order, steps, "bench", packing),
            model,
            emit=lambda *_, **__: None,
            control=lambda: "run",
            monotonic=time.perf_counter,
            compiled=mx.default_device() == mx.gpu,
        )
        seen = loop.run().values["trained_tokens"]
    return measure(model, valid), int(str(seen))


def theirs(case: Case, train: Sequences, valid: Sequences, *, epochs: int, seed: int) -> Measurement:
    steps = epochs * len(train) // case.their_batch_size
    spec = a_spec(case, steps, seed)
    model = a_model(spec)
    np.random.seed(seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        mlx_lm_train(
            model,
            optim.AdamW(spec.learning_rate, weight_decay=spec.weight_decay),
            CacheDataset(Rows(train)),
            args=TrainingArgs(
                batch_size=case.their_batch_size,
                iters=steps,
                steps_per_report=steps,
                steps_per_save=10**6,
                max_seq_length=LONGEST,
                adapter_file=f"{folder}/adapters.safetensors",
            ),
        )
    return measure(model, valid)


def compare(case: Case, *, examples: int, epochs: int, seeds: int) -> Row:
    """The mean losses of as many orders of the data as there are seeds."""
    language = Language()
    train = language.examples(chat_lengths(examples, LONGEST, 6), 1)
    valid = language.examples(chat_lengths(60, LONGEST, 7), 2)
    found, expected = [], []
    for seed in range(seeds):
        measured, seen = ours(case, train, valid, epochs=epochs, seed=seed)
        if seen != epochs * len(train.tokens):
            raise AssertionError(f"{seen} tokens were seen, not {epochs * len(train.tokens)}")
        found.append(measured)
        expected.append(theirs(case, train, valid, epochs=epochs, seed=seed))
    return judged(case, found, expected, seen_tokens=epochs * len(train.tokens))


def judged(case: Case, found: list[Measurement], expected: list[Measurement], *, seen_tokens: int) -> Row:
    """Means of both sides; ours may be worse by the standard error of one of theirs."""
    allowed = standard_error(expected[0].sequence_losses)
    assert allowed is not None
    a, b = (statistics.mean(one.loss for one in arm) for arm in (found, expected))
    return verdict(
        case.name,
        f"loss {a:.3f} against {b:.3f}",
        wanted=f"{allowed:.3f} more at most",
        reached=a - b <= allowed,
        seen_tokens=seen_tokens,
        forgellm_loss=a,
        mlx_lm_loss=b,
        standard_error=allowed,
    )


def main() -> int:
    """Print a table and, with --json, the same as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one order of the data, for trying")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = 1 if options.quick else 3
    rows = [compare(case, examples=240, epochs=2, seeds=seeds) for case in CASES]
    return finish(rows, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
