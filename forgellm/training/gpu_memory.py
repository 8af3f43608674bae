"""What MLX may hold of a GPU's memory while a model trains. On a CPU there is nothing to bound.

What one model and its batches need is foretold elsewhere: `services/memory`.
"""

from __future__ import annotations

from collections.abc import Mapping

import mlx.core as mx

WIRED = 0.9
"""Of the working set that Metal recommends, what may be wired. All of it together with what other processes
wire has ended in kernel panics (mlx-lm issues 883 and 1666)."""

CACHED = 8
"""One part of so many may be kept for reuse. Buffers are reused for nearly the same size alone, so that each
width of a batch leaves its own: 51 GiB of a run that used 7 (mlx-lm issue 986), and wired (mlx issue 2006).
To free all of them after each step, as mlx-lm does, is to ask for them again in the next."""


def limits(device: Mapping[str, object]) -> tuple[int, int] | None:
    """Bytes that may be wired, and kept for reuse; None where the device recommends nothing."""
    recommended = device.get("max_recommended_working_set_size")
    if not isinstance(recommended, int):
        return None
    return int(WIRED * recommended), recommended // CACHED


def bound_memory(device: Mapping[str, object]) -> None:
    """Hold MLX to the limits of its `device`, as `mx.device_info` tells it. Before a model is loaded."""
    found = limits(device)
    if found is not None:
        wired, cached = found
        mx.set_wired_limit(wired)
        mx.set_cache_limit(cached)
