"""The `forgellm` command: its global options and where each command lives."""

from __future__ import annotations

import click

from forgellm import __version__
from forgellm.cli.context import Invocation
from forgellm.cli.lazy import LazyGroup
from forgellm.settings import wants_colour

COMMANDS = {
    "start": "forgellm.cli.start:start",
    "web": "forgellm.cli.web:web",
    "server": "forgellm.cli.server:server",
    "train": "forgellm.cli.train:train",
    "runs": "forgellm.cli.runs:runs",
    "checkpoints": "forgellm.cli.checkpoints:checkpoints",
    "publish": "forgellm.cli.publish:publish",
    "evaluate": "forgellm.cli.evaluate:evaluate",
    "quantize": "forgellm.cli.quantize:quantize",
    "export": "forgellm.cli.export:export",
    "push": "forgellm.cli.push:push",
    "cli": "forgellm.cli.model_tools:cli",
    "datasets": "forgellm.cli.datasets:datasets",
    "models": "forgellm.cli.models:models",
    "demo": "forgellm.cli.demo:demo",
    "doctor": "forgellm.cli.doctor:doctor",
}


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="forgellm")
@click.option(
    "--workspace",
    metavar="FOLDER",
    help="Folder that holds dataset/ and models/. Default: FORGELLM_WORKSPACE, else the current folder.",
)
@click.pass_context
def main(ctx: click.Context, workspace: str | None) -> None:
    """Train language models on your own documents, rank their checkpoints, publish the best."""
    ctx.obj = Invocation(workspace)
    if not wants_colour():
        ctx.color = False
