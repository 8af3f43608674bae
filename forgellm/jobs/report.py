"""What a run came to: the facts and phrases that its dashboard and its model card share.

Nothing is read or drawn here: a Report is made of the manifest, the events and the ranked checkpoints.
What was not measured is None, and is shown as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from forgellm.domain.checkpoints import Checkpoint, rank
from forgellm.domain.metrics import Series, mean_speed, prefers, series
from forgellm.domain.runs import LIFECYCLE, TERMINAL, Event, Run, RunState

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Report:
    """A training run as it stands. `events` are all of its events, in order; losses are nats per token."""

    run: Run
    state: RunState
    events: Sequence[Event]
    checkpoints: Sequence[Checkpoint]

    @cached_property
    def best_three(self) -> list[Checkpoint]:
        """The three best usable checkpoints, best first."""
        return [c for c in rank(self.checkpoints) if c.rank is not None][:3]

    @cached_property
    def validation(self) -> Series:
        return series(self.events, "validation_loss")

    @cached_property
    def training(self) -> Series:
        return series(self.events, "training_loss")

    @property
    def initial_loss(self) -> float | None:
        """The base model's validation loss, measured before the first update."""
        return dict(self.validation).get(0)

    @property
    def final_loss(self) -> float | None:
        """The validation loss measured last."""
        return self.validation[-1][1] if self.validation else None

    @property
    def iterations(self) -> int:
        """Updates done and still counting."""
        return max((i for i, _ in [*self.training, *self.validation]), default=0)

    @cached_property
    def trained_tokens(self) -> int | None:
        counted = series(self.events, "trained_tokens")
        return int(counted[-1][1]) if counted else None

    @cached_property
    def tokens_per_second(self) -> float | None:
        """Mean over the whole run, each iteration weighted by the time it took where that is known."""
        return mean_speed(series(self.events, "tokens_per_second"), series(self.events, "iteration_seconds"))

    @cached_property
    def peak_memory_gb(self) -> float | None:
        """The most that arrays took at once, memory kept for reuse aside."""
        return max((value for _, value in series(self.events, "peak_memory_gb")), default=None)

    def value(self, key: str) -> object:
        """A setting as it was used: what the worker settled on, else what the spec says."""
        for event in reversed(self.events):
            if event["type"] in ("started", "resumed", "corpus", "phase") and event.get(key) is not None:
                return event[key]
        return self.run.spec.get(key)

    def validation_tokens(self, iteration: int) -> int | None:
        """How many tokens the validation loss at `iteration` was measured on."""
        found = [n for i, n in series(self.events, "validation_tokens") if i == iteration]
        return int(found[-1]) if found else None


def duration_seconds(report: Report) -> float | None:
    """Time spent in the training steps that count, without validations, pauses and repeated steps."""
    measured = series(report.events, "iteration_seconds")
    return sum(seconds for _, seconds in measured) if measured else None


def ending(report: Report) -> str:
    """How the run stands or why it ended, in one line."""
    last = next((e for e in reversed(report.events) if e["type"] in LIFECYCLE), {})
    words = report.state.value.replace("_", " ")
    reason = last.get("reason") or last.get("error")
    if not reason or TERMINAL.get(str(last["type"])) is not report.state:
        return words
    code = f" {last['code']}" if last.get("code") else ""
    return f"{words}{code}: {reason}"


def settings(report: Report) -> list[tuple[str, str]]:
    """(name, words) of everything that decided the run, for people."""
    spec = report.run.spec
    rows = [
        ("Base model", str(spec.get("model_name"))),
        ("Dataset", _data(spec)),
        ("Training", _training(spec)),
        ("Method", _method(spec)),
        ("Optimiser", _optimiser(spec)),
        ("Batch", _batch(report)),
        ("Iterations", _iterations(report)),
    ]
    if spec.get("start_from"):
        rows.insert(1, ("Started from", str(spec["start_from"])))
    return rows


def _training(spec: Mapping[str, object]) -> str:
    if prefers(spec):
        return f"preference tuning (DPO, beta {spec.get('dpo_beta'):g})"
    return "continued pre-training" if spec.get("training_type") == "cpt" else "instruction tuning"


def _data(spec: Mapping[str, object]) -> str:
    general, ratio = spec.get("general_dataset"), spec.get("data_mixture_ratio")
    if general and isinstance(ratio, float) and ratio < 1.0:
        return f"{spec.get('dataset')} {ratio:.0%}, {general} {1 - ratio:.0%}"
    return str(spec.get("dataset"))


def _method(spec: Mapping[str, object]) -> str:
    layers = spec.get("num_layers")
    blocks = "all blocks" if layers in (None, -1) else f"last {layers} blocks"
    if spec.get("fine_tune_type") == "full":
        learning = "every weight"
    else:
        name = {"lora": "LoRA", "dora": "DoRA"}.get(str(spec.get("fine_tune_type")), "adapter")
        name += " (PiSSA)" if spec.get("lora_init") == "pissa" else ""
        learning = f"{name} rank {spec.get('lora_rank')}, scale {spec.get('lora_scale'):g}"
    also = spec.get("train_also")
    extra = f", and {', '.join(map(str, also))}" if isinstance(also, (list, tuple)) and also else ""
    return f"{learning}, {blocks}{extra}"


def _optimiser(spec: Mapping[str, object]) -> str:
    schedule = str(spec.get("lr_schedule"))
    warmup = f", warm-up {spec['warmup_steps']}" if spec.get("warmup_steps") else ""
    return f"{spec.get('optimizer')}, {rate(spec.get('learning_rate'))} {schedule}{warmup}"


def _batch(report: Report) -> str:
    spec = report.run.spec
    accumulation = spec.get("grad_accumulation_steps") or 1
    size = f"{spec.get('batch_size')}" + (f" × {accumulation}" if accumulation != 1 else "")
    longest = report.value("max_seq_length") or report.value("longest_sequence")
    items = "pairs" if prefers(spec) else "sequences"
    return f"{size} {items}" + (f" of up to {longest:,} tokens" if isinstance(longest, int) else "")


def _iterations(report: Report) -> str:
    planned = report.value("total_iterations") or report.value("max_iterations")
    return f"{report.iterations:,}" + (f" of {planned:,}" if isinstance(planned, int) else "")


def rate(value: object) -> str:
    """5e-05 as 5e-5."""
    if not isinstance(value, (int, float)):
        return NOT_MEASURED
    mantissa, _, exponent = f"{value:g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def loss(value: float | None) -> str:
    """A loss with four decimals, or that it was not measured."""
    return NOT_MEASURED if value is None else f"{value:.4f}"


def quantity(value: float | None, *, unit: str = "", decimals: int = 0) -> str:
    """`1,234,567`, `12.70 GB`, or that it was not measured."""
    return NOT_MEASURED if value is None else f"{value:,.{decimals}f} {unit}".rstrip()


def duration(seconds: float | None) -> str:
    """`48 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return NOT_MEASURED
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
