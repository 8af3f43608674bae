"""`forgellm push`: a model, or an adapter for PEFT, onto the Hugging Face Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forgellm.cli.context import Invocation
from forgellm.cli.errors import printable
from forgellm.cli.terminal import has_terminal

if TYPE_CHECKING:
    from forgellm.services.pushing import Preview


@click.command()
@click.argument("repo_id", metavar="OWNER/NAME")
@click.argument("model", required=False)
@click.option(
    "--with",
    "exports",
    metavar="EXPORT",
    multiple=True,
    help="A GGUF export, by its name below models/exports/, to lie beside the model. Can be repeated.",
)
@click.option("--public", is_flag=True, help="For everyone to see. Default: private.")
@click.option("--update", is_flag=True, help="Replace the files of a model that is there already.")
@click.option("--yes", is_flag=True, help="Do not ask; the card and the files are shown all the same.")
@click.pass_obj
def push(
    invocation: Invocation,
    repo_id: str,
    model: str | None,
    *,
    exports: tuple[str, ...],
    public: bool,
    update: bool,
    yes: bool,
) -> None:
    """Push a model to the Hugging Face Hub, as OWNER/NAME.

    \b
    forgellm push OWNER/NAME models/published/NAME
    forgellm push OWNER/NAME models/exports/NAME-peft

    MODEL is by default the newest published one. The card is shown before anything is sent: it names the
    dataset, never its contents. The token is HF_TOKEN's, or that of `hf auth login`.
    """
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import models, pushing, runs

    chosen = model or models.newest_published(forge)
    wish = pushing.PushWish(chosen, repo_id, private=not public, update=update, exports=exports)
    _show(pushing.preview(forge, wish))
    if not yes:
        if not has_terminal():
            raise click.UsageError("Nothing was sent. With --yes it is, without being asked.")
        click.confirm(f"Push this to {repo_id}, {'public' if public else 'private'}?", abort=True)
    started = pushing.push(forge, wish)
    click.echo(f"Pushing to {repo_id} as run {started.id}")
    follow_to_end(forge, started)
    end = runs.status(forge, started).progress.end or {}
    if end.get("url"):
        click.echo(f"On the Hub: {end['url']}")


def _show(preview: Preview) -> None:
    # A downloaded model's card is somebody else's text.
    for line in preview.card.split("\n"):
        click.echo(printable(line))
    for file in preview.files:
        click.echo(f"{file.size_bytes:>15,} bytes  {printable(file.path)}")
