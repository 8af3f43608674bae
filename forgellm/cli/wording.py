"""What the terminal says about an event of a run, and about how far the run is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from forgellm.cli.answers import harmless
from forgellm.cli.errors import printable
from forgellm.cli.tables import duration, figure, size
from forgellm.domain.metrics import perplexity
from forgellm.domain.runs import Event
from forgellm.services.progress import Progress

_SHOWN = 120
_NOTES = 5


def event_line(event: Event) -> str | None:
    """The lasting lines for an event; None for a train event, of which there are too many."""
    wording: dict[str, Callable[[Event], str]] = {
        "started": lambda e: "Resuming" if e.get("resume") else "Started",
        "resumed": lambda e: f"Resumed at iteration {e.get('iteration')}",
        "phase": _phase,
        "corpus": _corpus,
        "validation": _validation,
        "checkpoint": _checkpoint,
        "sample": _sample,
        "stopping": lambda e: "Stopping" + (" at the next iteration" if "iteration" in e else ""),
        "paused": lambda e: f"Paused at iteration {e.get('iteration')}",
        "stopped": lambda e: "Stopped" + (f" at iteration {e['iteration']}" if "iteration" in e else ""),
        "early_stopped": lambda e: f"Ended early at iteration {e.get('iteration')}: {e.get('reason')}",
        "completed": lambda e: "Completed",
        "failed": lambda e: "Failed",
    }
    wording_of = wording.get(str(event["type"]))
    return wording_of(event) if wording_of else None


def train_line(progress: Progress) -> str:
    """One line with the latest figures, those that were measured."""
    total = "" if progress.total_iterations is None else f"/{progress.total_iterations}"
    parts = [f"iteration {progress.iteration}{total}", *figures(progress)]
    if progress.eta_seconds is not None:
        parts.append(f"{duration(progress.eta_seconds)} left")
    return ", ".join(parts)


def figures(progress: Progress) -> list[str]:
    """`loss 2.1034`, `validation 2.3000`, `812 tokens/s`, `1.2 GB`: without what was not measured."""
    known = [
        ("loss {:.4f}", progress.training_loss),
        ("validation {:.4f}", progress.validation_loss),
        ("general {:.4f}", progress.general_validation_loss),
        ("{:,.0f} tokens/s", progress.tokens_per_second),
        ("{:.2f} GB", progress.memory_usage_gb),
    ]
    return [form.format(value) for form, value in known if value is not None]


def _phase(event: Event) -> str:
    text = _sentence(str(event.get("phase")))
    reason = event.get("whole_logits")
    return text if reason is None else f"{text}, with logits for every token at once: {reason}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _validation(event: Event) -> str:
    loss = event.get("validation_loss")
    words = f"iteration {event.get('iteration')}: validation loss {figure(loss)}"
    if isinstance(event.get("validation_reward_margin"), float):
        margin, share = event["validation_reward_margin"], event.get("validation_reward_accuracy")
        words += f", reward margin {figure(margin)}, preferred {figure(share, '.0%')}"
    elif isinstance(loss, float):
        words += f", perplexity {figure(perplexity(loss), '.2f')}"
    if event.get("general_validation_loss") is not None:
        words += f", general {figure(event['general_validation_loss'])}"
    return words


def _checkpoint(event: Event) -> str:
    amount = event.get("size_bytes")
    volume = f" ({size(amount)})" if isinstance(amount, int) else ""
    return f"iteration {event.get('iteration')}: checkpoint saved{volume}"


def _sample(event: Event) -> str:
    """On one line: the whole answer can be asked for."""
    text = printable(f"{event.get('prompt')} → {str(event.get('text')).strip()}")
    return f"iteration {event.get('iteration')}: " + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …")


def _corpus(event: Event) -> str:
    parts = [
        _counted(event, "train_sequences", "sequences"),
        _counted(event, "learned_tokens", "tokens to learn"),
        _counted(event, "valid_learned_tokens", "to validate on"),
        str(event.get("split") or ""),
        _counted(event, "cut_rows", "rows cut at max_seq_length"),
        _counted(event, "dropped_rows", "rows dropped: the cut left nothing to learn"),
    ]
    lines = ["Corpus: " + ", ".join(part for part in parts if part)]
    general = event.get("general")
    if isinstance(general, dict):
        lines += _general(general)
    notes = [*_notes(event), *_notes(general)]
    lines += [f"  {harmless(note)}" for note in notes[:_NOTES]]
    if len(notes) > _NOTES:
        lines.append(f"  … and {len(notes) - _NOTES} more notes; `forgellm datasets check` tells them")
    return "\n".join(lines)


def _general(counts: Mapping[str, object]) -> Iterator[str]:
    drawn, known = counts.get("drawn_sequences"), counts.get("sequences")
    if isinstance(drawn, int) and isinstance(known, int) and drawn:
        often = f", each of them {drawn / known:.1f} times" if drawn > known else f" of {known:,}"
        yield f"  general data: {drawn:,} sequences{often}"


def _notes(counts: object) -> list[str]:
    found = counts.get("notes") if isinstance(counts, Mapping) else None
    return [str(note) for note in found] if isinstance(found, list) else []


def _counted(event: Event, key: str, noun: str) -> str:
    count = event.get(key)
    return f"{count:,} {noun}" if isinstance(count, int) and count else ""
