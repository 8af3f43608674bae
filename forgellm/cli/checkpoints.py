"""`forgellm checkpoints`: the ranking of a run's checkpoints."""

from __future__ import annotations

import json

import click

from forgellm.cli.context import Invocation
from forgellm.cli.terminal import output_width


@click.command()
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def checkpoints(invocation: Invocation, run: str | None, as_json: bool) -> None:
    """Rank a run's checkpoints by validation loss.

    RUN is an id, a number or a folder; without it the newest training run. Each file is read and compared
    with its hash before it is listed.
    """
    forge = invocation.forge()
    from forgellm.cli.checkpoint_table import checkpoint_lines, checkpoint_values
    from forgellm.services import runs

    chosen = runs.find(forge, run, wanted=lambda r, _: r.kind.trains, sought="training run")
    ranked = runs.checkpoints(forge, chosen)
    if as_json:
        values = [checkpoint_values(c) for c in ranked]
        click.echo(json.dumps({"run": chosen.id, "checkpoints": values}, indent=2))
        return
    lines = checkpoint_lines(ranked, width=output_width())
    for line in (f"{chosen.id} in {chosen.folder}", *lines):
        click.echo(line)
