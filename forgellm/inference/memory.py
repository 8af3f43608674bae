"""Whether a model fits before it is loaded: running out of memory in MLX ends the process without a word."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from forgellm.domain.errors import OutOfMemory
from forgellm.storage.targets import Source

_log = logging.getLogger(__name__)

_OVERHEAD = 1.15
"""What a loaded model takes beyond its files: caches, and the KV cache of a first conversation."""


@dataclass(frozen=True)
class Room:
    """Bytes of memory: what is `free` now, and the `most` that a model gets, however much is free, where the
    system makes room by writing out what others hold; None where only what is free is to be had.
    """

    free: int
    most: int | None = None


def needed_bytes(source: Source) -> int:
    """What the model and its adapter will take, from the size of their files."""
    weights = [path.stat().st_size for path in source.model_path.glob("*.safetensors")]
    adapter = source.adapter[1].stat().st_size if source.adapter else 0
    return loaded_bytes(sum(weights) + adapter)


def loaded_bytes(weights: int) -> int:
    """What `weights` bytes of files take once they are loaded."""
    return int(_OVERHEAD * weights)


def check_fits(source: Source, room: Room, *, freed: int) -> None:
    """Refuse what finds no room, counting the bytes that the resident model will give back as free. What the
    system has to make room for is loaded with a warning in the log.

    Raises OutOfMemory.
    """
    needed, free = needed_bytes(source), room.free + freed
    said = f"{source.target.model_name} needs about {needed / 1e9:.1f} GB, and"
    most, had = (free, "are free") if room.most is None else (room.most, "are the most that can be had")
    if needed <= most:
        if needed > free:
            _log.warning("%s %.1f GB are free: the system has to make room, slowly", said, free / 1e9)
        return
    raise OutOfMemory(
        f"{said} {most / 1e9:.1f} GB {had}",
        details={"needed_bytes": needed, "available_bytes": most},
        suggestion="Close other programs, or use a quantized copy. To load it all the same: force.",
    )
