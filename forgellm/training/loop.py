"""A training run from its first iteration, or its saved state, to its end.

It validates on one fixed set at iteration 0, every `eval_every` and on exactly the weights of every
checkpoint; stops early by rule; obeys control between iterations. What the events are written to, and
what a run's ending means for its process, is decided by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn

from forgellm.data.corpus import Corpus
from forgellm.domain.checkpoints import StoppingRule, best_iterations, standard_error, stop_reason
from forgellm.domain.errors import ResumeMismatch
from forgellm.domain.schedule import learning_rate, schedule_of
from forgellm.domain.spec import TrainingSpec, stopping_values
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.training.batches import Batch, BatchOrder, Cursor
from forgellm.training.checkpointing import diverged, link_best, write_checkpoint
from forgellm.training.group import Group
from forgellm.training.losses import Measurement, measure
from forgellm.training.objective_of import objective_of
from forgellm.training.optimizers import build_optimizer
from forgellm.training.output_layer import Layer, OutputLayer, output_layer
from forgellm.training.packing import Packing
from forgellm.training.samples import Questions, answer
from forgellm.training.sharing import SharedStepper
from forgellm.training.state import Progress, read_progress, restore, save_state
from forgellm.training.stepper import Stepper

Emit = Callable[..., object]


@dataclass(frozen=True)
class Plan:
    """What a run trains: the spec, where it lies, on what, and for how many iterations.

    With a `packing` the order is of its rows.
    """

    folder: Path
    spec: TrainingSpec
    corpus: Corpus
    order: BatchOrder
    total: int
    base_fingerprint: str
    packing: Packing | None = None


@dataclass(frozen=True)
class Ending:
    """`type` is the run's last event: completed, early_stopped, stopped or paused."""

    type: str
    values: Mapping[str, object]


class TrainingLoop:
    """Holds the live run. `emit(type, **values)` records an event; `control()` says run, pause or stop;
    `monotonic()` gives seconds. `model` is a base with its adapter attached. The weights of iteration 0 and
    of each checkpoint answer what is `asked`. The others of a `group` compute their share of every iteration.
    The model's output layer is looked for where `layer` does not name it.
    """

    def __init__(
        self,
        plan: Plan,
        model: nn.Module,
        *,
        emit: Emit,
        control: Callable[[], str],
        monotonic: Callable[[], float],
        compiled: bool,
        asked: Questions | None = None,
        group: Group | None = None,
        layer: Layer = None,
    ) -> None:
        self._plan = plan
        self._asked = asked
        self._model = model
        self._emit = emit
        self._control = control
        self._monotonic = monotonic
        self._objective = objective_of(plan.spec, plan.corpus, plan.folder, packing=plan.packing)
        self._optimizer = build_optimizer(plan.spec)
        self._schedule = schedule_of(plan.spec, plan.total)
        self._progress = self._begin()
        self._layer = layer or output_layer(model)
        stepper = Stepper(
            model,
            self._optimizer,
            max_grad_norm=plan.spec.max_grad_norm,
            compiled=compiled,
            loss=self._objective.loss,
            layer=self._layer if isinstance(self._layer, OutputLayer) else None,
            usual=self._objective.targets / plan.order.full_batches * plan.spec.grad_accumulation_steps,
        )
        self._shared = None if group is None else SharedStepper(group, stepper, model, self._optimizer)
        self._stepper = self._shared or stepper
        self._batches = self._from_cursor()
        self._next: list[tuple[Cursor, Batch]] = []
        self._last_loss: float | None = None

    def run(self) -> Ending:
        """Train until the total, a rule, a command or an error ends it."""
        if not self._progress.validation:
            self._validate()
            self._answer()
        while self._progress.iteration < self._plan.total:
            command = self._control()
            if command != "run":
                return self._obey(command)
            reason = self._early_stop_reason()
            if reason is not None:
                self._checkpoint_if_new()
                return self._end("early_stopped", reason=reason)
            self._iterate()
        return self._end("completed")

    def _begin(self) -> Progress:
        """Restore the saved state, or start at iteration 0 with this corpus and base."""
        fresh = Progress(corpus=self._plan.corpus.fingerprint, base=self._plan.base_fingerprint)
        saved = read_progress(self._plan.folder)
        if saved is None:
            self._optimizer.init(self._model.trainable_parameters())
            mx.eval(self._model.parameters(), self._optimizer.state)
            return fresh
        if (saved.corpus, saved.base) != (fresh.corpus, fresh.base):
            changed = "corpus" if saved.corpus != fresh.corpus else "base model"
            raise ResumeMismatch(
                f"the {changed} changed since the state of iteration {saved.iteration} was saved",
                suggestion="Put the original files back, or start a new run from a checkpoint.",
            )
        restore(self._plan.folder, model=self._model, optimizer=self._optimizer)
        return saved

    def _from_cursor(self) -> Iterator[tuple[Cursor, Batch]]:
        order = self._plan.order
        for cursor, indices, width in order.from_cursor(self._progress.cursor):
            yield cursor, self._objective.batch(indices, width, rows=order.rows(width))

    def _take(self) -> list[tuple[Cursor, Batch]]:
        return list(islice(self._batches, self._plan.spec.grad_accumulation_steps))

    def _prepare(self) -> None:
        """The batches of the next iteration; where the run is in its data does not change by that."""
        self._next = self._take()

    def _iterate(self) -> None:
        """One optimiser update, its event, and what falls due after it."""
        started = self._monotonic()
        taken = self._next or self._take()
        batches = [batch for _, batch in taken]
        rate = learning_rate(self._schedule, self._progress.iteration)
        result = self._stepper.update(batches, rate, meanwhile=self._prepare)
        seconds = self._monotonic() - started
        iteration = self._progress.iteration + 1
        if not math.isfinite(result.loss) or not math.isfinite(result.gradient_norm or 0.0):
            raise diverged(iteration, "the training loss or its gradient is not finite")
        tokens = sum(batch.true_tokens for batch in batches)
        self._last_loss = result.loss
        self._progress = replace(
            self._progress,
            iteration=iteration,
            cursor=taken[-1][0],
            trained_tokens=self._progress.trained_tokens + tokens,
            seconds=self._progress.seconds + seconds,
        )
        self._emit(
            "train",
            iteration=iteration,
            training_loss=result.loss,
            learning_rate=rate,
            tokens_per_second=tokens / seconds if seconds > 0 else None,
            iteration_seconds=seconds,
            memory_usage_gb=(mx.get_active_memory() + mx.get_cache_memory()) / 1e9,
            peak_memory_gb=mx.get_peak_memory() / 1e9,
            trained_tokens=self._progress.trained_tokens,
            gradient_norm=result.gradient_norm,
            epoch=self._progress.cursor.epoch,
            **result.metrics,
        )
        self._after(iteration)

    def _after(self, iteration: int) -> None:
        spec, last = self._plan.spec, iteration == self._plan.total
        if iteration % spec.save_every == 0 or last:
            self._checkpoint()
            self._answer()
        elif iteration % spec.eval_every == 0:
            self._validate()

    def _validate(self) -> tuple[Measurement, Measurement | None]:
        """Measure the fixed sets on the present weights and record it."""
        corpus, iteration, started = self._plan.corpus, self._progress.iteration, self._monotonic()
        domain = self._objective.measure(self._model, layer=self._layer)
        general = (
            measure(self._model, corpus.general_valid, layer=self._layer) if corpus.general_valid else None
        )
        seconds = self._monotonic() - started
        if not math.isfinite(domain.loss) or not math.isfinite(general.loss if general else 0.0):
            raise diverged(iteration, "the validation loss is not finite")
        before = tuple(pair for pair in self._progress.validation if pair[0] != iteration)
        history = (*before, (iteration, domain.loss))
        self._progress = replace(self._progress, validation=history)
        self._emit(
            "validation",
            iteration=iteration,
            validation_loss=domain.loss,
            validation_tokens=domain.tokens,
            validation_seconds=seconds,
            standard_error=standard_error(domain.sequence_losses),
            general_validation_loss=general.loss if general else None,
            general_validation_tokens=general.tokens if general else None,
            **self._objective.said(domain),
        )
        return domain, general

    def _checkpoint(self) -> None:
        domain, general = self._validate()
        saved = write_checkpoint(
            self._plan.folder,
            self._progress.iteration,
            model=self._model,
            validation=domain,
            general=general,
            keep=self._plan.spec.keep_checkpoints,
        )
        self._emit(
            "checkpoint",
            iteration=saved.iteration,
            path=saved.path,
            validation_loss=saved.validation_loss,
            general_validation_loss=saved.general_validation_loss,
            size_bytes=saved.size_bytes,
            sha256=saved.sha256,
        )
        self._save_state()

    def _answer(self) -> None:
        """Let the present weights answer. Whoever wants the run to stop does not wait for it."""
        if self._asked is None:
            return
        for question in self._asked.asked:
            if self._control() != "run":
                break
            found = answer(self._model, question, self._asked)
            self._emit(
                "sample",
                iteration=self._progress.iteration,
                prompt=question.prompt,
                text=found.text,
                finished=found.finished,
            )
        # Arrays that grew token by token are of no use to the next step.
        mx.clear_cache()

    def _save_state(self) -> None:
        save_state(self._plan.folder, self._progress, model=self._model, optimizer=self._optimizer)
        if self._shared is not None:
            # A run that goes on from here begins with this on every machine; so does this one.
            self._shared.share_state()

    def _obey(self, command: str) -> Ending:
        """Leave at once without losing anything: a stop also writes a validated checkpoint."""
        self._emit("stopping", iteration=self._progress.iteration, command=command)
        if command == "pause":
            self._save_state()
            return self._end("paused")
        self._checkpoint_if_new()
        return self._end("stopped")

    def _checkpoint_if_new(self) -> None:
        written = {
            c.iteration for c in read_checkpoints(self._plan.folder, verify=False) if c.problem is None
        }
        saved = read_progress(self._plan.folder)
        kept = saved is not None and saved.iteration == self._progress.iteration
        if self._progress.iteration > 0 and not (kept and self._progress.iteration in written):
            self._checkpoint()

    def _early_stop_reason(self) -> str | None:
        """By the scheduled validations alone: one that a stop added must not change a resumed run."""
        spec = self._plan.spec
        rule = StoppingRule(*stopping_values(spec))
        due = [
            loss for i, loss in self._progress.validation if not (i % spec.eval_every and i % spec.save_every)
        ]
        return stop_reason(rule, due)

    def _end(self, type: str, **values: object) -> Ending:
        # A kill just after a checkpoint was written may have left the link at the one before.
        link_best(self._plan.folder)
        checkpoints = read_checkpoints(self._plan.folder, verify=False)
        return Ending(
            type,
            {
                "iteration": self._progress.iteration,
                "final_loss": self._last_loss,
                "best_checkpoints": best_iterations(checkpoints),
                "training_seconds": self._progress.seconds,
                "trained_tokens": self._progress.trained_tokens,
                **values,
            },
        )
