"""A way to run the training loop in this process."""

from __future__ import annotations

import time
from pathlib import Path

import mlx.core as mx
import pytest

from forgellm.data.corpus import Corpus
from forgellm.data.sequences import Sequences
from forgellm.domain.extent import total_iterations
from forgellm.domain.spec import TrainingSpec
from forgellm.storage.adapters import config_of
from forgellm.training.adapters import attach, load_base
from forgellm.training.loop import Plan, TrainingLoop
from forgellm.training.objective_of import order_of
from forgellm.training.packing import pack
from forgellm.training.pissa import begin_at_principal
from forgellm.training.reference import measure_reference
from forgellm.training.samples import Questions
from tests.training.loops import Recorder, Run, Trained, random_sequences


@pytest.fixture
def run_loop(tiny_model: Path, tmp_path: Path) -> Run:
    """Train `spec` on `corpus` in `folder`, giving `commands` at the iterations they name."""

    def run(
        spec: TrainingSpec,
        *,
        folder: Path | None = None,
        train: Sequences | None = None,
        valid: Sequences | None = None,
        commands: dict[int, str] | None = None,
        compiled: bool = False,
        base: Path | None = None,
        asked: Questions | None = None,
    ) -> Trained:
        folder = folder or tmp_path / "run"
        folder.mkdir(parents=True, exist_ok=True)
        corpus = Corpus(
            train=train if train is not None else random_sequences(list(range(8, 60)), seed=1),
            valid=valid if valid is not None else random_sequences([20, 30, 40], seed=2),
            general_valid=None,
            fingerprint="corpus",
            summary={},
        )
        model, _ = load_base(base or tiny_model)
        packing = pack(corpus.train.lengths, spec.packing, seed=spec.seed) if spec.packing else None
        order = order_of(spec, corpus, packing)
        total = total_iterations(spec, order.batches_per_epoch)
        if spec.objective == "dpo":
            batches = total * spec.grad_accumulation_steps
            options = {"order": order, "batches": batches, "rows": spec.batch_size, "attend": lambda: None}
            measure_reference(folder, model, corpus, **options)
        mx.random.seed(spec.seed)
        attach(model, config_of(spec))
        if spec.lora_init == "pissa":
            begin_at_principal(model, folder, attend=lambda: None)
        recorder = Recorder(commands=commands or {})
        loop = TrainingLoop(
            Plan(folder, spec, corpus, order, total, "base", packing),
            model,
            emit=recorder.emit,
            control=recorder.control,
            monotonic=time.perf_counter,
            compiled=compiled,
            asked=asked,
        )
        return Trained(model, recorder, loop.run())

    return run
