"""Whether a model fits before it is loaded: running out of memory in MLX ends the process without a word."""

from __future__ import annotations

from forgellm.domain.errors import OutOfMemory
from forgellm.storage.targets import Source

_OVERHEAD = 1.15
"""What a loaded model takes beyond its files: caches, and the KV cache of a first conversation."""


def needed_bytes(source: Source) -> int:
    """What the model and its adapter will take, from the size of their files."""
    weights = [path.stat().st_size for path in source.model_path.glob("*.safetensors")]
    adapter = source.adapter[1].stat().st_size if source.adapter else 0
    return loaded_bytes(sum(weights) + adapter)


def loaded_bytes(weights: int) -> int:
    """What `weights` bytes of files take once they are loaded."""
    return int(_OVERHEAD * weights)


def check_fits(source: Source, *, available: int, freed: int) -> None:
    """Refuse what needs more than the `available` bytes and those that the resident model will give back.

    Raises OutOfMemory.
    """
    needed = needed_bytes(source)
    if needed > available + freed:
        raise OutOfMemory(
            f"{source.target.model_name} needs about {needed / 1e9:.1f} GB, and "
            f"{(available + freed) / 1e9:.1f} GB are free",
            details={"needed_bytes": needed, "available_bytes": available + freed},
            suggestion="Close other programs, or use a quantized copy. To load it all the same: force.",
        )
