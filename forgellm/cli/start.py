"""`forgellm start`: the servers as supervised child processes, and the browser."""

from __future__ import annotations

import signal
import sys
import threading
import webbrowser

import click

from forgellm.cli.context import Invocation
from forgellm.cli.server_options import PORT, server_options
from forgellm.cli.supervisor import Service, Supervisor
from forgellm.cli.terminal import say
from forgellm.settings import Settings, has_windows, server_environment


@click.command()
@click.option("--web-port", type=PORT, default=5002, show_default=True, help="0 picks a free one.")
@click.option(
    "--server-port",
    type=PORT,
    default=5001,
    show_default=True,
    help="Port of the model server. This version has none yet, so nothing listens there.",
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
    """Start the web server, keep it running, and open the page.

    Ctrl-C pauses the run that trains, after asking on a terminal, and ends the server; a second one ends at
    once and lets the run go on.
    """
    if ctx.get_parameter_source("server_port") is click.core.ParameterSource.COMMANDLINE:
        click.echo(f"Nothing listens on port {server_port}: this version has no model server yet.", err=True)
    invocation = ctx.ensure_object(Invocation).within(workspace)
    settings = invocation.settings()
    token = settings.token if token is None else token
    opened = no_browser

    def on_ready(service: Service, url: str) -> None:
        nonlocal opened
        say(f"ForgeLLM is at {url}")
        if not opened:
            _open_page(url, token)
        opened = True

    service = _web(settings, host, port=web_port, token=token, allow_hosts=allow_hosts)
    signal.signal(signal.SIGTERM, _end)
    with Supervisor([service], on_ready=on_ready) as supervisor:
        try:
            code = supervisor.run()
        except KeyboardInterrupt:
            code = 0
            _pause(invocation)
            # The servers end within a second; one more would cut that short with an error.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _web(
    settings: Settings, host: str, *, port: int, token: str | None, allow_hosts: tuple[str, ...]
) -> Service:
    names = [argument for name in allow_hosts for argument in ("--allow-host", name)]
    arguments = ("web", "--host", host, "--workspace", str(settings.workspace), *names)
    return Service("the web server", arguments, port, server_environment(token))


def _open_page(url: str, token: str | None) -> None:
    if has_windows():
        address = url if token is None else f"{url}/?token={token}"
        # Some browsers do not return before they are closed.
        threading.Thread(target=webbrowser.open, args=(address,), name="browser", daemon=True).start()


def _pause(invocation: Invocation) -> None:
    try:
        say()
        # Brings numpy in, which nobody needs before.
        from forgellm.cli.pausing import pause_training

        pause_training(invocation.forge())
    except (KeyboardInterrupt, click.Abort):
        say("\nEnding at once; runs go on.")


def _end(*_: object) -> None:
    raise SystemExit(0)
