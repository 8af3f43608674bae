"""What MLX's own exceptions say of the machine: memory that is short, a GPU that was interrupted, or a folder
for temporary files in which nothing can be compiled.

MLX has one type of exception for nearly everything, so its texts are looked at; nothing here imports it.
Metal reports what became of a computation when the next one is begun: such an exception may come out of
any call, and says nothing about what that call was given.
"""

from __future__ import annotations

from collections.abc import Mapping

from forgellm.domain.errors import GpuInterrupted, NoTemporaryFolder, OutOfMemory

Kind = type[OutOfMemory] | type[GpuInterrupted] | type[NoTemporaryFolder]

_MEMORY = (
    "malloc]",
    "Unable to allocate",
    "Attempting to allocate",
    "bad_alloc",
    "Insufficient Memory",
    "ErrorOutOfMemory",
)
_GPU = "[METAL]"
_COMPILING = ("filesystem error: ", "[Compile::eval_cpu]", "Could not load C++ shared library")

SAID: Mapping[Kind, str] = {
    OutOfMemory: "out of memory",
    GpuInterrupted: "the GPU was interrupted",
    NoTemporaryFolder: "nothing can be compiled in the folder for temporary files",
}
"""What happened, in words of our own."""

A_FOLDER_TO_COMPILE_IN = (
    "Set TMPDIR to a folder that is there, can be written to, has some MB of room, and lets programs be "
    "loaded from it"
)

WAY_OUT_OF_A_RUN: Mapping[Kind, str] = {
    OutOfMemory: "Lower batch_size or max_seq_length, or set grad_checkpoint; then resume the run.",
    GpuInterrupted: (
        "macOS ends computations that keep the screen waiting. Let the display sleep while it trains (the "
        "machine stays awake), or lower batch_size or max_seq_length; then resume the run."
    ),
    NoTemporaryFolder: f"{A_FOLDER_TO_COMPILE_IN}; then resume the run, or ask for it again.",
}
"""What to do where a run ended so."""


def kind_of(error: BaseException) -> Kind | None:
    """The named failure behind an exception; None where it is about something else."""
    if isinstance(error, MemoryError):
        return OutOfMemory
    return kind_of_text(str(error)) if isinstance(error, RuntimeError) else None


def kind_of_text(text: str) -> Kind | None:
    """The same for what an exception said."""
    # Short memory is one of the reasons for which Metal gives up.
    if any(sign in text for sign in _MEMORY):
        return OutOfMemory
    if any(sign in text for sign in _COMPILING):
        return NoTemporaryFolder
    return GpuInterrupted if _GPU in text else None
