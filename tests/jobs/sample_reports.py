"""Reports of runs that never ran, with events as a worker writes them: curves of any length and shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone

from forgellm.domain.checkpoints import Checkpoint
from forgellm.domain.runs import Event, Run, RunKind, RunState
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.jobs.report import Report

STARTED = {"type": "started", "time": "2025-01-15T10:30:00Z"}


def a_run(folder: str = "models/cpt/small_run", **spec: object) -> Run:
    values = {"model_name": "org/small", "training_type": "cpt", "dataset": "domain", "max_iterations": 100}
    created = datetime(2025, 1, 15, 10, 30, tzinfo=timezone.utc)
    return Run("cpt_20250115_103000", 1, RunKind.CPT, folder, created, to_dict(parse_spec(values | spec)), {})


def training(iteration: int, loss: float | None, **values: object) -> Event:
    return {
        "type": "train",
        "iteration": iteration,
        "training_loss": loss,
        "learning_rate": 5e-5,
        "tokens_per_second": 200.0 + iteration % 7,
        "iteration_seconds": 0.5,
        "memory_usage_gb": 3.0,
        "peak_memory_gb": 4.25,
        "trained_tokens": iteration * 100,
        **values,
    }


def validation(iteration: int, loss: float, general: float | None = 3.0) -> Event:
    return {
        "type": "validation",
        "iteration": iteration,
        "validation_loss": loss,
        "validation_tokens": 1000,
        "general_validation_loss": general,
    }


def loss_at(iteration: int, total: int) -> float:
    return 2.0 + 2.0 * math.exp(-4.0 * iteration / total) + 0.1 * math.sin(iteration)


def curves(total: int, *, every: int = 10, scale: float = 1.0) -> list[Event]:
    """The events between `started` and the end."""
    events = [STARTED, {"type": "phase", "phase": "training", "total_iterations": total}, validation(0, 4.0)]
    for iteration in range(1, total + 1):
        events.append(training(iteration, loss_at(iteration, total) * scale))
        if iteration % every == 0:
            events.append(validation(iteration, loss_at(iteration, total) + 0.2))
    return events


def checkpoints(iterations: Sequence[int], total: int) -> list[Checkpoint]:
    sequences = tuple((100.0 + n, 50) for n in range(8))
    return [
        Checkpoint(i, f"{i}", "", 1, loss_at(i, total) + 0.2, sequence_losses=sequences) for i in iterations
    ]


def completed(total: int, *, run: Run | None = None) -> Report:
    every = max(1, total // 10)
    events = [*curves(total, every=every), {"type": "completed", "iteration": total}]
    return Report(
        run or a_run(), RunState.COMPLETED, events, checkpoints(range(every, total + 1, every), total)
    )


def failed(
    events: Sequence[Event], error: str, code: str = "INTERNAL_ERROR", run: Run | None = None
) -> Report:
    return Report(
        run or a_run(), RunState.FAILED, [*events, {"type": "failed", "code": code, "error": error}], []
    )


def diverged() -> Report:
    growing = [training(i, 3.0 * math.exp(0.9 * (i - 40)) if i > 40 else 3.0) for i in range(1, 100)]
    events = [STARTED, *growing, validation(20, 3.0), validation(60, 800.0), training(100, None)]
    return failed(events, "the training loss is not finite at iteration 100", "DIVERGED")


def long_names() -> Report:
    names = {
        "model_name": "some-organisation/" + "a-rather-long-model-name-" * 8,
        "dataset": "日本語 \u202e\x07 $x_1$ \\frac{ " + "a long name " * 20,
        "start_from": "models/cpt/" + "x" * 200 + "/0000100_adapters.safetensors",
        "general_dataset": "general " * 10,
        "data_mixture_ratio": 0.8,
    }
    return completed(1000, run=a_run("models/cpt/" + "A_very_long_name_" * 20, **names))


def resumed() -> Report:
    """Stopped after iteration 60 with its state at 40, then trained on from there, with other losses."""
    again = [training(i, loss_at(i, 100) - 0.5) for i in range(41, 101)]
    repeated = [
        STARTED | {"resume": True},
        {"type": "resumed", "iteration": 40},
        *again,
        validation(50, 1.5),
        validation(100, 1.4),
    ]
    before = [e for e in curves(100) if int(e.get("iteration") or 0) <= 60]  # type: ignore[call-overload]
    return Report(a_run(), RunState.COMPLETED, [*before, *repeated], checkpoints([40], 100))


CASES = {
    "completed": completed(100),
    "diverged": diverged(),
    "nothing happened": Report(a_run(), RunState.PENDING, [], []),
    "failed while loading": failed([STARTED], "out of memory", "OUT_OF_MEMORY"),
    "a long error": failed([STARTED], "it went wrong\n\tand on " * 1000),
    "long names": long_names(),
    "one iteration": completed(1),
    "one validation": Report(a_run(), RunState.PAUSED, [STARTED, validation(0, 4.0, None)], []),
    "no validation": Report(a_run(), RunState.RUNNING, [STARTED, training(1, 2.0), training(2, 1.0)], []),
    "nothing but losses": Report(
        a_run(),
        RunState.INTERRUPTED,
        [{"type": "train", "iteration": i, "training_loss": 1.0} for i in (1, 2)],
        [],
    ),
    "memory unknown": Report(
        a_run(), RunState.RUNNING, [STARTED, training(1, 2.0, memory_usage_gb=None, peak_memory_gb=None)], []
    ),
    "a loss of zero": Report(
        a_run(), RunState.RUNNING, [STARTED, *(training(i, 0.0) for i in range(1, 9)), validation(8, 0.0)], []
    ),
    "wide numbers": Report(
        a_run(),
        RunState.RUNNING,
        [
            STARTED,
            validation(0, 20.0),
            *(training(i, 2.0, tokens_per_second=987_654.0, memory_usage_gb=480.5) for i in (1, 500_000)),
            validation(1_000_000, 5.0),
        ],
        checkpoints([999_000, 999_500, 1_000_000], 1_000_000),
    ),
    "resumed": resumed(),
    "thousands of iterations": completed(2000),
}
