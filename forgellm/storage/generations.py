"""How many texts the dialects' routes have generated in a workspace."""

from __future__ import annotations

from contextlib import suppress

from forgellm.storage.files import next_number
from forgellm.storage.workspace import Workspace


def count_generation(workspace: Workspace) -> None:
    """One more. Raises DiskFull, ReadOnly."""
    next_number(workspace.private / "generations")


def generations(workspace: Workspace) -> int:
    """How many there were."""
    with suppress(FileNotFoundError, ValueError):
        return int((workspace.private / "generations").read_text(encoding="ascii"))
    return 0
