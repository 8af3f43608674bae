"""`forgellm publish`: make a self-contained model of a checkpoint, and measure it again."""

from __future__ import annotations

import click

from forgellm.cli.context import Invocation


@click.command()
@click.argument("run", required=False)
@click.option("--iteration", type=int, help="Which checkpoint. Default: the best one.")
@click.option("--name", help="Folder name under models/published/. Default: run, iteration and time.")
@click.pass_obj
def publish(invocation: Invocation, run: str | None, iteration: int | None, name: str | None) -> None:
    """Publish a checkpoint as a model of its own.

    RUN is an id, a number or a folder; without it the newest one with checkpoints. The published model's own
    validation loss is measured and printed beside the checkpoint's.
    """
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import publishing, runs

    source = runs.find(
        forge,
        run,
        wanted=lambda r, _: runs.has_checkpoints(forge, r),
        sought="run with checkpoints",
    )
    started = publishing.publish(forge, source, iteration=iteration, name=name)
    click.echo(f"Publishing iteration {started.spec['iteration']} of {source.id} as run {started.id}")
    follow_to_end(forge, started)
