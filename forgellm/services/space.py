"""Whether a run could write what it has to write: the folder takes files, and the disk has room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from forgellm.domain.errors import DiskFull, ReadOnly
from forgellm.services.datasets import BYTES_PER_TOKEN
from forgellm.storage.files import PARTIAL, storage_error
from forgellm.storage.workspace import Workspace

BYTES_OF_A_TOKEN = 10
"""Its number and its mark, in the cache and in the run's own corpus."""

HARDLY_TEXT = (".pdf", ".docx", ".epub")
"""Of pictures and fonts, for the most part: what text is in them is not known from their size."""

# Corpus, events and dashboard of a small run. What a long one needs beyond it is found out on the way,
# and costs nothing that is already written.
SMALLEST_ROOM = 16 * 2**20

# A full fine-tune keeps a checkpoint, and a state with the weights and up to two moments of the optimiser,
# which is replaced only after the next one is whole.
_FULL_COPIES = 7


def tokens_room(datasets: Iterable[Path]) -> int:
    """About how many bytes the tokens of some datasets take, by the size of their text."""
    size = 0
    for path in (path for folder in datasets for path in folder.rglob("*")):
        # It may have gone since its name was read.
        with suppress(OSError):
            is_text = path.is_file() and path.suffix.lower() not in HARDLY_TEXT
            size += path.stat().st_size if is_text and not path.name.startswith(".") else 0
    return size // BYTES_PER_TOKEN * BYTES_OF_A_TOKEN


def check_space(
    workspace: Workspace, *, base: Path, fine_tune_type: str, datasets: Iterable[Path] = ()
) -> None:
    """Raises ReadOnly where nothing can be written, DiskFull where there is too little room."""
    for folder in (workspace.models, workspace.private):
        check_writable(folder)
    needed = SMALLEST_ROOM + tokens_room(datasets)
    if fine_tune_type == "full":
        needed += _FULL_COPIES * sum(p.stat().st_size for p in base.glob("*.safetensors"))
    free = shutil.disk_usage(workspace.models).free
    if free < needed:
        raise DiskFull(
            f"{free / 1e6:,.0f} MB are free, and this run needs at least {needed / 1e6:,.0f} MB",
            details={"path": str(workspace.models), "free_bytes": free, "needed_bytes": needed},
            suggestion="Free some space, or use a workspace on another disk.",
        )


def check_writable(folder: Path) -> None:
    """Write and remove a small file: permission bits do not tell (root, read-only mounts, quotas)."""
    probe = folder / f"{PARTIAL}{os.getpid()}-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"forgellm\n")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        named = storage_error(error, folder)
        if isinstance(named, DiskFull):
            raise named from error
        raise ReadOnly(
            f"{folder} cannot be written to: {error.strerror}",
            details={"path": str(folder), "reason": error.strerror},
            suggestion="Make it a writable folder, or choose another workspace.",
        ) from error
