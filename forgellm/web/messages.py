"""The messages of Socket.IO: what a watcher of a run is told, under the documented names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgellm.api.native.wording import minutes, percentage
from forgellm.domain.runs import Event, Run, RunState
from forgellm.services.progress import Progress
from forgellm.services.runs import Status

Message = Mapping[str, object]


def update(run: Run, state: RunState, progress: Progress, *, events: Sequence[Event]) -> Message:
    """training_update: where the run stands after `events`, and these events themselves.

    `first_seq` and `seq` say which they are; what was not measured yet is null.
    """
    return {
        "training_id": run.id,
        "seq": seq(events[-1]),
        "first_seq": seq(events[0]),
        "state": state.value,
        "phase": progress.phase,
        "iteration": progress.iteration,
        "training_loss": progress.training_loss,
        "validation_loss": progress.validation_loss,
        "learning_rate": progress.learning_rate,
        "tokens_per_second": progress.tokens_per_second,
        "memory_usage_gb": progress.memory_usage_gb,
        "progress_percentage": percentage(progress, state),
        "eta_minutes": minutes(progress.eta_seconds),
        "eta_seconds": progress.eta_seconds,
        "events": [dict(event) for event in events],
    }


def ending(status: Status, *, seq: int) -> tuple[str, Message]:
    """training_complete or training_error, whichever the state asks for."""
    if status.state in (RunState.FAILED, RunState.INTERRUPTED):
        return "training_error", _failure(status, seq)
    end = status.progress.end or {}
    seconds = end.get("training_seconds")
    return "training_complete", {
        "success": True,
        "training_id": status.run.id,
        "seq": seq,
        "state": status.state.value,
        "final_iteration": status.progress.iteration,
        "final_loss": status.progress.training_loss,
        "training_time_minutes": minutes(seconds) if isinstance(seconds, (int, float)) else None,
        "best_checkpoints": [c.iteration for c in status.checkpoints if c.rank is not None][:3],
        "output_dir": status.run.folder,
    }


def _failure(status: Status, seq: int) -> Message:
    known = status.failure or {
        "error": "The run was cut off: its process ended without a word",
        "code": "INTERRUPTED",
        "suggestion": "Resume it: it goes on from its last saved state.",
    }
    return {
        "training_id": status.run.id,
        "seq": seq,
        "state": status.state.value,
        "error": known.get("error"),
        "error_code": known.get("code"),
        "iteration": status.progress.iteration,
        "suggestion": known.get("suggestion") or "",
    }


def unwatchable(training_id: str | None, *, seq: int) -> Message:
    """training_error for a run that cannot be read any more."""
    return {
        "training_id": training_id,
        "seq": seq,
        "state": None,
        "error": "The run was deleted, or its files cannot be read",
        "error_code": "RUN_NOT_FOUND",
        "iteration": None,
        "suggestion": "GET /api/runs lists the runs there are.",
    }


def seq(event: Event) -> int:
    """The number of an event."""
    value = event["seq"]
    return value if isinstance(value, int) else 0
