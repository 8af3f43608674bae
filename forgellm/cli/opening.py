"""Opening a model for a command: in this process, or at a model server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from forgellm.cli.context import Invocation
from forgellm.domain.chat import ModelService, ModelStatus, Target
from forgellm.domain.errors import ModelNotLoaded, revived
from forgellm.inference.client import RemoteModel
from forgellm.jobs.open_files import check_open_files

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""

_SECONDS_BETWEEN_LOOKS = 0.05


@contextmanager
def opened(invocation: Invocation, *, server: str | None) -> Iterator[ModelService]:
    """A model service for as long as the block runs: the one at the address `server`, or one of its own."""
    if server is not None:
        yield RemoteModel(server, invocation.settings().token)
        return
    check_open_files()
    # They bring MLX in: a second that nobody but this needs.
    from forgellm.inference.engine import Engine
    from forgellm.inference.local import LocalModel
    from forgellm.services.memory import machine, room

    forge = invocation.forge()
    model = LocalModel(
        forge.workspace, forge.hub_cache, Engine(forge.environment), room=lambda: room(machine())
    )
    try:
        yield model
    except KeyboardInterrupt:
        if model.status().is_loading:
            # Loading cannot be broken off, and leaves nothing behind.
            click.echo(err=True)
            os._exit(INTERRUPTED)
        raise
    finally:
        model.close()


def target_of(invocation: Invocation, model: str, adapter: str | None, *, server: str | None) -> Target:
    """What `model` names, which may be a run too; a server finds that out by itself.

    Raises ModelNotFound, InvalidModel, UntrustedModelCode, CheckpointNotFound.
    """
    if server is not None or adapter is not None:
        return Target(model, adapter)
    from forgellm.services.resident import named

    return named(invocation.forge(), model)


def make_resident(model: ModelService, target: Target | None, *, force: bool = False) -> ModelStatus:
    """Load `target` where it is not resident yet, and wait for it; None takes what there is. With `force`
    also one for which memory seems too short.

    Raises what names a wrong target, the error that loading failed with, ModelNotLoaded.
    """
    status = model.status()
    if target is not None and (status.target != target or status.error is not None):
        model.load(target, force=force)
        status = model.status()
    pause = threading.Event()
    while status.is_loading:
        pause.wait(_SECONDS_BETWEEN_LOOKS)
        status = model.status()
    if status.error is not None:
        raise revived(status.error)
    if status.target is None:
        raise ModelNotLoaded("no model is loaded", suggestion="Name one with --model.")
    return status
