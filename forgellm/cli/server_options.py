"""The options that all commands share which serve: where, for whom, with which workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

PORT = click.IntRange(0, 65535)

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        metavar="ADDRESS",
        help="Address to listen on. One that other machines can reach needs a token.",
    ),
    click.option(
        "--workspace",
        metavar="FOLDER",
        help="Folder that holds dataset/ and models/, as `forgellm --workspace`.",
    ),
    click.option(
        "--token",
        metavar="TEXT",
        help="What every request has to carry. FORGELLM_TOKEN is better: others may read a command line.",
    ),
    click.option(
        "--allow-host",
        "allow_hosts",
        multiple=True,
        metavar="NAME[:PORT]",
        help="A further name under which browsers reach the server. Can be given several times.",
    ),
)


def server_options(command: Command) -> Command:
    """Add the options to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
