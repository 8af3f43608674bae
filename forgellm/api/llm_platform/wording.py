"""How LLM Platform writes times and states."""

from __future__ import annotations

from datetime import datetime, timezone

from forgellm.domain.runs import RunState


def naive(moment: datetime) -> str:
    """`2025-06-24T13:19:00.369561`: UTC, without saying so."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds")


def state_word(state: RunState) -> str:
    """PENDING, RUNNING, PAUSED, COMPLETED, FAILED …"""
    return state.value.upper()
