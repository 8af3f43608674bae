"""How much of a Mac's memory macOS lets the GPU use; MLX is not asked, for that takes a process and a second.

Apple documents no rule. The shares are what Metal reported on machines of other people (docs/decisions/013).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

_SYSCTL = ("/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb")
_SYSCTL_SECONDS = 5

_GIB = 1 << 30
_MACOS_26 = 25
"""The kernel's number: what macOS calls itself depends on what asked was built for."""

_SHARES = ((128, 0.84), (64, 0.81), (32, 0.78), (16, 0.74), (0, 2 / 3))
"""From so many GiB of memory on, since macOS 26."""

_EARLIER_SHARES = ((36, 3 / 4), (0, 2 / 3))


def gpu_limit(total: int, *, kernel: str, wired_limit_mb: int) -> tuple[int, str]:
    """Bytes of `total` that the GPU may use, and why so many; `kernel` is the Darwin release, such as 25.1.0,
    and `wired_limit_mb` what somebody has set, or 0.
    """
    if wired_limit_mb:
        return min(wired_limit_mb << 20, total), "what iogpu.wired_limit_mb lets the GPU use"
    major = kernel.partition(".")[0]
    shares = _SHARES if major.isdecimal() and int(major) >= _MACOS_26 else _EARLIER_SHARES
    share = next(share for least, share in shares if total >= least * _GIB)
    note = f"macOS lets the GPU use {share:.0%} of the memory unless iogpu.wired_limit_mb says otherwise"
    return round(share * total), note


def set_wired_limit_mb(command: Sequence[str] = _SYSCTL) -> int:
    """The MiB that somebody has set, which holds until the machine is started again; 0 where nobody has."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSCTL_SECONDS, check=True)
        return max(0, int(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
