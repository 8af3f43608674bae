"""`forgellm web`: the web server in the foreground."""

from __future__ import annotations

import click

from forgellm.cli.announcing import announce
from forgellm.cli.context import Invocation
from forgellm.cli.lifetime import end_when_told, wait_until_told
from forgellm.cli.server_options import PORT, server_options


@click.command()
@click.option("--port", type=PORT, default=5002, show_default=True, help="0 picks a free one.")
@server_options
@click.option("--debug", is_flag=True, help="Log every request and every refusal. Never a debugger.")
@click.option("--lifeline-fd", type=int, hidden=True)
@click.option("--ready-fd", type=int, hidden=True)
@click.pass_obj
def web(
    invocation: Invocation,
    /,
    *,
    port: int,
    host: str,
    workspace: str | None,
    token: str | None,
    allow_hosts: tuple[str, ...],
    debug: bool,
    lifeline_fd: int | None,
    ready_fd: int | None,
) -> None:
    """Serve the page, the API and the live events until Ctrl-C.

    Runs go on when the server ends, and are there when it starts again.
    """
    end_when_told(lifeline_fd)
    # Flask and all that, which `--help` must not wait for.
    from forgellm.api.access import access, check_reach
    from forgellm.forge import Forge
    from forgellm.web.app import create_app
    from forgellm.web.logs import log_to_stderr
    from forgellm.web.serving import listen, serving

    log_to_stderr(debug=debug)
    settings = invocation.within(workspace).settings()
    token = settings.token if token is None else token
    check_reach(host, token)
    listener = listen(host, port)
    admitted = access(host, listener.getsockname()[1], allow=allow_hosts, token=token)
    app = create_app(Forge(settings), admitted)
    app.start()
    try:
        with serving(listener, app.wsgi) as server:
            announce("ForgeLLM", server.url, ready=ready_fd)
            wait_until_told()
    finally:
        app.stop()
