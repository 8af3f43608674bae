"""The memory of a training step against whole logits and mlx-lm's trainer; `scripts/bench memory` runs it.

The loss layer, from hidden states to its gradients, is compared with `nn.losses.cross_entropy` on full
logits; a whole step of a random llama with `mlx_lm.lora`'s trainer. Peaks are mlx's own: of the layer what is
above the start, of the step all of it. Only the ratios mean anything on another machine.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama
from mlx_lm.tuner.trainer import TrainingArgs
from mlx_lm.tuner.trainer import train as mlx_lm_train
from verdicts import Row, at_most, finish, verdict

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences, join
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.storage.adapters import config_of
from forgellm.training.adapters import attach
from forgellm.training.batches import BatchOrder
from forgellm.training.chunked_loss import Chunking, learned_bound
from forgellm.training.loop import Plan, TrainingLoop
from forgellm.training.losses import learned_loss
from forgellm.training.output_layer import OutputLayer

HIDDEN, WIDTH, STEPS = 512, 256, 2
EQUAL = 1e-6


@dataclass(frozen=True)
class Case:
    """One shape of the loss layer and the ratios of peak and time that must be reached."""

    name: str
    vocabulary: int
    rows: int
    learned_share: float
    learns: bool
    wanted_peak: float
    wanted_time: float | None


CASES = [
    Case("vocabulary 4k, 8 x 256", 4096, 8, 1.0, False, 0.5, None),
    Case("vocabulary 32k, 8 x 256", 32_000, 8, 1.0, False, 0.15, 1.0),
    Case("vocabulary 32k, 40 % learned", 32_000, 8, 0.4, False, 0.15, 0.6),
    Case("vocabulary 32k, weights learn", 32_000, 4, 1.0, True, 0.5, 1.0),
    Case("vocabulary 152k, 2 x 256", 152_000, 2, 1.0, False, 0.1, 1.0),
]


class OnlyHead(nn.Module):
    """A model that hands its input, states in place of tokens, to an output layer."""

    def __init__(self, vocabulary: int, *, learns: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lm_head = nn.Linear(HIDDEN, vocabulary, bias=False)
        self.states = mx.zeros((1, 1, HIDDEN))
        if not learns:
            self.lm_head.freeze()

    def __call__(self, _: mx.array, cache: None = None) -> mx.array:
        logits: mx.array = self.lm_head(self.states)
        return logits


@dataclass(frozen=True)
class Taken:
    """What one computation of loss and gradients gave and took: seconds, bytes above the start."""

    gradients: Any
    seconds: float
    peak: int


def taken(case: Case, model: OnlyHead, arrays: list[mx.array], *, chunked: bool) -> Taken:
    """Loss and gradients, once, from an empty cache."""
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    started = time.perf_counter()
    chunking = None
    if chunked:
        layer = OutputLayer(model, "lm_head", model.lm_head, case.vocabulary)
        learned = arrays[1][:, 1:]
        chunking = Chunking(layer, learned_bound(int(np.array(learned).sum()), learned.size, few=False))
    found = nn.value_and_grad(model, lambda *given: learned_loss(*given, chunking=chunking))(model, *arrays)
    if chunking is not None:
        chunking.settle()
    mx.eval(found)
    return Taken(found[1], time.perf_counter() - started, mx.get_peak_memory() - before)


def compare_layers(case: Case, *, rounds: int, say: Callable[[str], None]) -> Row:
    """Alternate whole logits and chunks. Peaks hardly vary; the best times are compared, since whatever else
    a machine does only adds to them."""
    mx.random.seed(0)
    model = OnlyHead(case.vocabulary, learns=case.learns)
    model.states = mx.random.normal((case.rows, WIDTH, HIDDEN))
    tokens = mx.random.randint(0, case.vocabulary, (case.rows, WIDTH + 1))
    learned = mx.random.uniform(shape=tokens.shape) < case.learned_share
    arrays = [tokens, learned, 1.0 / learned[:, 1:].sum()]
    mx.eval(model.state, arrays)
    pairs, difference = [], 0.0
    for number in range(rounds):
        found = {way: taken(case, model, arrays, chunked=way) for way in (number % 2 == 0, number % 2 == 1)}
        ours, theirs = found[True], found[False]
        pairs.append((ours, theirs))
        difference = max(difference, largest_difference(ours.gradients, theirs.gradients))
        say(f"  {case.name}, round {number + 1}: {mega(ours.peak)} in {ours.seconds:.2f} s against "
            f"{mega(theirs.peak)} in {theirs.seconds:.2f} s")  # fmt: skip
    peak = statistics.median(ours.peak / theirs.peak for ours, theirs in pairs)
    seconds = min(ours.seconds for ours, _ in pairs) / min(theirs.seconds for _, theirs in pairs)
    return layer_row(case, peak, seconds, difference=difference)


def layer_row(case: Case, peak: float, seconds: float, *, difference: float) -> Row:
    """Ratios of peak and time, where that is promised, and gradients that are the same."""
    bounds = f"at most {case.wanted_peak:.2f}"
    bounds += "" if case.wanted_time is None else f", {case.wanted_time:.2f}"
    reached = peak <= case.wanted_peak and (case.wanted_time is None or seconds <= case.wanted_time)
    alike = difference <= EQUAL
    return verdict(
        case.name,
        f"peak {peak:.3f}, time {seconds:.2f}" if alike else f"gradients {difference:.0e} apart",
        wanted=bounds if alike else f"at most {EQUAL:.0e}",
        reached=reached and alike,
        peak_ratio=peak,
        time_ratio=seconds,
        largest_gradient_difference=difference,
    )


def largest_difference(a: Any, b: Any) -> float:
    """Between two trees of gradients."""
    pairs = zip(leaves(a), leaves(b), strict=True)
    return max(float(np.array(mx.abs(x - y).max())) for x, y in pairs)


def leaves(tree: Any) -> list[mx.array]:
    return [value for _, value in dict(tree_flatten(tree)).items()]


def mega(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def a_model(vocabulary: int) -> nn.Module:
    """A random float32 llama with tied embeddings, the same in every round."""
    mx.random.seed(0)
    model: nn.Module = llama.Model(
        llama.ModelArgs(
            model_type="llama",
            hidden_size=256,
            num_hidden_layers=4,
            intermediate_size=704,
            num_attention_heads=8,
            num_key_value_heads=4,
            rms_norm_eps=1e-5,
            vocab_size=vocabulary,
        )
    )
    model.freeze()
    mx.eval(model.parameters())
    return model


def a_spec() -> TrainingSpec:
    wish = {"model_name": "bench", "training_type": "cpt", "dataset": "bench", "max_iterations": STEPS}
    rare = {"eval_every": 10**6, "save_every": 10**6, "max_grad_norm": None}
    return parse_spec(wish | rare | {"batch_size": 4, "lora_rank": 8})


def our_peak(vocabulary: int, sequences: Sequences) -> int:
    """Of a run of few steps with everything that belongs to one, its validation and checkpoint included."""
    spec, model = a_spec(), a_model(vocabulary)
    attach(model, config_of(spec))
    corpus = Corpus(sequences, sequences, None, "bench", {})
    order = BatchOrder(sequences.lengths, spec.batch_size, seed=0)
    with tempfile.TemporaryDirectory() as folder, fresh_peak():
        run = Path(folder, "models", "cpt", "bench")
        run.mkdir(parents=True)
        TrainingLoop(
            Plan(run, spec, corpus, order, STEPS, "bench"),
            model,
            emit=lambda *_, **__: None,
            control=lambda: "run",
            monotonic=time.perf_counter,
            compiled=mx.default_device() == mx.gpu,
        ).run()
        return mx.get_peak_memory()


def their_peak(vocabulary: int, sequences: Sequences) -> int:
    """Of the same steps on the same rows, without a validation."""
    spec, model = a_spec(), a_model(vocabulary)
    attach(model, config_of(spec))
    rows = [(sequences[n][0].tolist(), 0) for n in range(len(sequences))]
    optimizer = optim.AdamW(spec.learning_rate, weight_decay=spec.weight_decay)
    with tempfile.TemporaryDirectory() as folder, fresh_peak(), contextlib.redirect_stdout(io.StringIO()):
        mlx_lm_train(
            model,
            optimizer,
            rows,
            args=TrainingArgs(
                batch_size=spec.batch_size,
                iters=STEPS,
                steps_per_report=1,
                steps_per_save=10**6,
                max_seq_length=WIDTH,
                adapter_file=f"{folder}/adapters.safetensors",
            ),
        )
        return mx.get_peak_memory()


@contextlib.contextmanager
def fresh_peak() -> Iterator[None]:
    gc.collect()
    mx.clear_cache()
    mx.reset_peak_memory()
    yield


def compare_steps(vocabulary: int, wanted: float, *, say: Callable[[str], None]) -> Row:
    """The peaks of both trainers; they vary by far less than what is promised."""
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, vocabulary, WIDTH).astype(np.int32) for _ in range(8)]
    sequences = join((row, np.ones(WIDTH, np.bool_)) for row in rows)
    name = f"whole step, vocabulary {vocabulary // 1000}k, 4 x {WIDTH}"
    ours, theirs = our_peak(vocabulary, sequences), their_peak(vocabulary, sequences)
    say(f"  {name}: {mega(ours)} against {mega(theirs)}")
    return at_most(name, ours / theirs, wanted)


def main() -> int:
    """Print a table and, with --json, the same as JSON on standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    rows = [compare_layers(case, rounds=options.rounds, say=say) for case in CASES]
    rows += [compare_steps(32_000, 0.4, say=say), compare_steps(152_000, 0.2, say=say)]
    return finish(rows, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
