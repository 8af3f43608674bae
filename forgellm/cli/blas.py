"""A fast BLAS for a command that computes in its own process."""

from __future__ import annotations

import os
import sys

from forgellm.settings import model_server_environment, preloads_as


def preload_openblas(*, token: str | None = None) -> None:
    """Begin this command anew with OpenBLAS preloaded, where there is one and it is not. `token` is what a
    server asks for, and goes on to it.

    The dynamic loader reads LD_PRELOAD only when a process starts. Putting the same command in this one's
    place keeps its terminal, its standard input (so nothing may have been read yet), its parent and its
    process id, so that Ctrl-C, pipes and exit codes need nobody in between, as a child process would.
    """
    environment = model_server_environment(token)
    if not preloads_as(environment):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
