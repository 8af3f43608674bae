"""`forgellm start`: the servers as supervised child processes, and the browser."""

from __future__ import annotations

import signal
import sys
import threading
import webbrowser
from dataclasses import replace
from functools import partial

import click

from forgellm.api.access import access
from forgellm.cli.context import Invocation
from forgellm.cli.interrupts import interrupts_deferred
from forgellm.cli.server_options import PORT, server_options
from forgellm.cli.supervisor import Crash, Service, Supervisor
from forgellm.cli.terminal import say
from forgellm.domain.errors import ForgeError
from forgellm.forge import local_time
from forgellm.settings import Settings, has_windows, model_server_environment, server_environment
from forgellm.storage.model_server import Crash as ModelServerCrash
from forgellm.storage.model_server import forget_crash, write_crash
from forgellm.storage.workspace import Workspace

_MODEL_SERVER = "the model server"


@click.command()
@click.option("--web-port", type=PORT, default=5002, show_default=True, help="0 picks a free one.")
@click.option(
    "--server-port",
    type=PORT,
    default=5001,
    show_default=True,
    help="Port of the model server; 0 picks a free one.",
)
@server_options
@click.option("--no-browser", is_flag=True, help="Do not open the page in a browser.")
@click.pass_context
def start(
    ctx: click.Context,
    /,
    *,
    web_port: int,
    server_port: int,
    host: str,
    workspace: str | None,
    token: str | None,
    allow_hosts: tuple[str, ...],
    no_browser: bool,
) -> None:
    """Start the web server and the model server, keep them running, and open the page.

    Ctrl-C pauses the run that trains, after asking on a terminal, and ends both servers; a second one ends at
    once and lets the run go on.
    """
    invocation = ctx.ensure_object(Invocation).within(workspace)
    settings = invocation.settings()
    settings = replace(settings, token=settings.token if token is None else token)
    place = Workspace.open(settings.workspace)
    # Each server would complain of the same.
    access(host, web_port, allow=allow_hosts, token=settings.token)
    forget_crash(place)
    opened = no_browser

    def on_ready(service: Service, url: str) -> None:
        nonlocal opened
        if service.name == _MODEL_SERVER:
            say(f"The model server is at {url}")
            return
        say(f"ForgeLLM is at {url}")
        if not opened:
            _open_page(url, settings.token)
        opened = True

    services = _services(settings, host, ports=(web_port, server_port), allow_hosts=allow_hosts)
    signal.signal(signal.SIGTERM, _end)
    with Supervisor(services, on_ready=on_ready, on_crash=partial(_note_crash, place)) as supervisor:
        try:
            code = supervisor.run()
        except KeyboardInterrupt:
            code = 0
            _pause(invocation)
            # The servers end within a second; one more would cut that short with an error.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _services(
    settings: Settings, host: str, *, ports: tuple[int, int], allow_hosts: tuple[str, ...]
) -> list[Service]:
    """The web server and the model server, which may crash alone."""
    names = [argument for name in allow_hosts for argument in ("--allow-host", name)]
    options = ("--host", host, "--workspace", str(settings.workspace), *names)
    web_port, server_port = ports
    token = settings.token
    return [
        Service("the web server", ("web", *options), web_port, server_environment(token)),
        Service(
            _MODEL_SERVER,
            ("server", *options),
            server_port,
            model_server_environment(token),
            essential=False,
        ),
    ]


def _note_crash(workspace: Workspace, crash: Crash) -> None:
    """Say it here, and leave it where the page and /api/health find it."""
    how = f"signal {-crash.code}" if crash.code < 0 else f"exit code {crash.code}"
    then = "it is not started again" if crash.given_up else "starting it again"
    name = crash.service.name
    say(f"{name[0].upper()}{name[1:]} ended with {how}: {then}.", err=True)
    if name != _MODEL_SERVER:
        return
    signal_number = -crash.code if crash.code < 0 else None
    exit_code = None if crash.code < 0 else crash.code
    try:
        write_crash(
            workspace, ModelServerCrash(local_time(), signal_number, exit_code, given_up=crash.given_up)
        )
    except ForgeError as error:
        say(f"That could not be written down: {error.message}", err=True)


def _open_page(url: str, token: str | None) -> None:
    if has_windows():
        address = url if token is None else f"{url}/?token={token}"
        # Some browsers do not return before they are closed.
        threading.Thread(target=webbrowser.open, args=(address,), name="browser", daemon=True).start()


def _pause(invocation: Invocation) -> None:
    try:
        with interrupts_deferred():
            say()
            # Brings numpy in, which nobody needs before.
            from forgellm.cli.pausing import pause_training

            forge = invocation.forge()
        pause_training(forge)
    except (KeyboardInterrupt, click.Abort):
        say("\nEnding at once; runs go on.")


def _end(*_: object) -> None:
    raise SystemExit(0)
