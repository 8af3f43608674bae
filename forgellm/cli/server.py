"""`forgellm server`: the model server in the foreground."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from forgellm.cli.announcing import announce
from forgellm.cli.blas import preload_openblas
from forgellm.cli.context import Invocation
from forgellm.cli.lifetime import end_when_told, wait_until_told
from forgellm.cli.server_options import PORT, server_options
from forgellm.domain.chat import Target
from forgellm.domain.errors import ForgeError
from forgellm.settings import Settings

if TYPE_CHECKING:
    from forgellm.services.model_host import ModelHost

logger = logging.getLogger(__name__)


@click.command()
@click.option("--port", type=PORT, default=5001, show_default=True, help="0 picks a free one.")
@server_options
@click.option("--model", metavar="NAME", help="Load it at once: a Hub id, a folder below models/, or a run.")
@click.option(
    "--adapter", metavar="PATH", help="Lay this adapter, or one of its checkpoints, over the model."
)
@click.option("--no-auto-load", is_flag=True, help="Load nothing because a /v1 request names it.")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Unload a model that nobody has asked for so long. Default: never.",
)
@click.option("--kv-bits", type=click.Choice(["4", "8"]), help="Quantize the KV cache: less memory, slower.")
@click.option(
    "--draft-model", metavar="NAME", help="A small model of the same tokenizer that proposes tokens."
)
@click.option("--debug", is_flag=True, help="Log every request and every refusal. Never a debugger.")
@click.option("--lifeline-fd", type=int, hidden=True)
@click.option("--ready-fd", type=int, hidden=True)
@click.pass_obj
def server(
    invocation: Invocation,
    /,
    *,
    port: int,
    host: str,
    workspace: str | None,
    token: str | None,
    allow_hosts: tuple[str, ...],
    model: str | None,
    adapter: str | None,
    no_auto_load: bool,
    idle_minutes: float | None,
    kv_bits: str | None,
    draft_model: str | None,
    debug: bool,
    lifeline_fd: int | None,
    ready_fd: int | None,
) -> None:
    """Hold one model with its adapter, and answer with it until Ctrl-C.

    It speaks ForgeLLM's /api/model and OpenAI's /v1. What was resident when it crashed is loaded again.
    """
    end_when_told(lifeline_fd)
    if adapter is not None and model is None:
        raise click.UsageError("--adapter needs a --model.")
    settings = invocation.within(workspace).settings()
    settings = replace(settings, token=settings.token if token is None else token)
    preload_openblas(token=settings.token)
    # Brings Flask in, which `--help` must not wait for.
    from forgellm.api.access import check_reach
    from forgellm.jobs.open_files import check_open_files
    from forgellm.web.logs import log_to_stderr
    from forgellm.web.serving import listen

    log_to_stderr(debug=debug)
    check_reach(host, settings.token)
    check_open_files()
    listener = listen(host, port)
    wish = Wish(
        allow_hosts,
        model,
        adapter,
        auto_load=not no_auto_load,
        idle_seconds=None if idle_minutes is None else 60 * idle_minutes,
        kv_bits=None if kv_bits is None else int(kv_bits),
        draft_model=draft_model,
        ready=ready_fd,
    )
    _serve(settings, listener, host, wish=wish)


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line, but for where to listen. `ready` is a pipe to write to."""

    allow_hosts: tuple[str, ...]
    model: str | None
    adapter: str | None
    auto_load: bool
    idle_seconds: float | None
    kv_bits: int | None
    draft_model: str | None
    ready: int | None


def _serve(settings: Settings, listener: socket.socket, host: str, *, wish: Wish) -> None:
    # MLX, which a port in use must not wait for.
    from forgellm.api.access import access
    from forgellm.forge import Forge
    from forgellm.inference.options import EngineOptions
    from forgellm.model_server.app import create_app
    from forgellm.model_server.keeper import Keeper
    from forgellm.storage.targets import find_source
    from forgellm.web.serving import serving, url_of

    forge = Forge(settings)
    admitted = access(
        host, listener.getsockname()[1], allow=wish.allow_hosts, token=settings.token, has_pages=False
    )
    draft = None
    if wish.draft_model is not None:
        draft = find_source(forge.workspace, forge.hub_cache, Target(wish.draft_model))
    options = EngineOptions(idle_seconds=wish.idle_seconds, kv_bits=wish.kv_bits, draft=draft)
    app = create_app(forge, admitted, options=options, auto_load=wish.auto_load)
    try:
        with closing(Keeper(forge.workspace, url_of(listener))) as keeper:
            # First of all: whoever has been waiting since a crash is to find what was resident, not nothing.
            _load(app.host, wish, before=keeper.before)
            keeper.follow(app.host.status)
            with serving(listener, app.wsgi) as server:
                announce("The model server", server.url, ready=wish.ready)
                wait_until_told()
    finally:
        app.close()


def _load(host: ModelHost, wish: Wish, *, before: Target | None) -> None:
    """Begin to load what was asked for, else what was resident in the server that was cut off."""
    from forgellm.services.resident import named

    if wish.model is not None:
        host.load(Target(wish.model, wish.adapter) if wish.adapter else named(host.parts, wish.model))
    elif before is not None:
        try:
            host.load(before)
        except ForgeError as error:
            logger.warning("what was resident cannot be loaded again: %s", error.message)
