"""`forgellm models`: list, download and remove models."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import click

from forgellm.cli.answers import valid_text
from forgellm.cli.context import Invocation
from forgellm.cli.downloading import Download
from forgellm.cli.runs import ListsByDefault
from forgellm.cli.tables import MISSING, NAME_ENDS, size, table
from forgellm.cli.terminal import agree, output_width

_INTERRUPTED = 130
_SECONDS_BETWEEN_LOOKS = 0.2


@click.group(cls=ListsByDefault)
def models() -> None:
    """List, download and remove models. Without a command: list."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_models(invocation: Invocation, as_json: bool) -> None:
    """List base, downloaded, trained and published models, by the names that --model takes."""
    rows = list(_rows(invocation))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("No models. `forgellm models pull NAME` downloads one; `forgellm demo` brings its own.")
        return
    cells = [
        (str(row["name"]), str(row["kind"]), size(float(str(row["size_bytes"]))), _minute(row["created_at"]))
        for row in rows
    ]
    headers, narrow = ("name", "kind", "size", "created"), (("created", 0), ("kind", 0), ("name", NAME_ENDS))
    for line in table(headers, cells, left=("name", "kind"), width=output_width(), narrow=narrow):
        click.echo(line)


@models.command()
@click.argument("name")
@click.pass_obj
def pull(invocation: Invocation, name: str) -> None:
    """Download a model from the Hugging Face Hub into its cache, or its newest version.

    Only safetensors, tokenizer and configuration are fetched. After an interruption the same command goes on
    where it was.
    """
    forge = invocation.forge()
    # huggingface_hub takes half a second.
    from forgellm.services.downloads import pull as fetch

    shown = Download()
    try:
        found = fetch(forge, valid_text(name), on_progress=shown.show)
    except KeyboardInterrupt:
        click.echo(f"\nStopped. `forgellm models pull {name}` goes on from here.", err=True)
        sys.exit(_INTERRUPTED)
    shown.end()
    click.echo(f"{found.name} is in {found.path}")


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(invocation: Invocation, name: str, yes: bool) -> None:
    """Remove a base or a published model: to the trash from models/, for good from the Hub's cache."""
    forge = invocation.forge()
    from forgellm.services import removal

    found = removal.find_removable(forge, valid_text(name), wait=lambda: time.sleep(_SECONDS_BETWEEN_LOOKS))
    if not yes:
        if found.runs:
            click.echo(f"{len(found.runs)} runs were trained on it, the last of them {found.runs[-1].id}.")
        what = f"Delete {found.name} for good" if found.for_good else f"Move {found.name} to the trash"
        agree(f"{what} ({size(found.size_bytes)})?")
    entry = removal.remove(forge, found)
    click.echo(f"{found.name} is in {forge.workspace.trash / entry}" if entry else f"{found.name} is deleted")


def _rows(invocation: Invocation) -> Iterator[dict[str, object]]:
    forge = invocation.forge()
    from forgellm.services.models import catalogue

    found = catalogue(forge)
    groups = (("base", found.base), ("cpt", found.cpt), ("ift", found.ift), ("published", found.published))
    for kind, group in groups:
        for model in group:
            is_cached = kind == "base" and not model.name.startswith("models/")
            path = model.path if kind == "base" else f"models/{model.path}"
            yield {
                "name": path if model.run is None else model.run.id,
                "kind": "cached" if is_cached else kind,
                "size_bytes": model.size_bytes,
                "created_at": None if model.created is None else model.created.isoformat(timespec="seconds"),
                "path": path,
            }


def _minute(time: object) -> str:
    return MISSING if time is None else str(time)[:16].replace("T", " ")
