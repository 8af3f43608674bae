"""What happened to a run, line by line, for people who read: everything but its single iterations."""

from __future__ import annotations

from itertools import islice

from forgellm.domain.runs import LIFECYCLE, Event, Run
from forgellm.services.parts import Parts
from forgellm.storage.events import events_of
from forgellm.storage.runs import run_folder

_TOLD = frozenset({*LIFECYCLE, "phase", "validation", "checkpoint"})
_LINES = 1000


def story(parts: Parts, run: Run) -> str:
    """The lines, the oldest first; at most the first thousand. Raises ForgeError for events that cannot be
    read."""
    events = events_of(run_folder(parts.workspace, run), _TOLD)
    return "\n".join(_line(event) for event in islice(events, _LINES))


def _line(event: Event) -> str:
    kind = str(event.get("type"))
    parts = [
        str(event.get("time", "")),
        str(event.get("phase")) if kind == "phase" else kind.replace("_", " "),
    ]
    if event.get("iteration") is not None:
        parts.append(f"at iteration {event['iteration']}")
    loss = event.get("validation_loss")
    if isinstance(loss, (int, float)):
        parts.append(f"with validation loss {loss:.4f}")
    if event.get("error"):
        parts.append(str(event["error"]))
    return " ".join(parts)
