"""`forgellm runs compare`, `samples`, `label`, `move`: side by side, answers, notes, place in the queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from forgellm.cli.context import Invocation
from forgellm.cli.errors import printable
from forgellm.cli.tables import MISSING, figure, table
from forgellm.cli.terminal import output_width
from forgellm.domain.errors import InvalidField
from forgellm.domain.metrics import perplexity_of

if TYPE_CHECKING:
    from forgellm.services.comparison import Compared

_POINTS = 600
_HEADERS = ("run", "state", "best loss", "perplexity", "gap", "variation", "tokens/s", "at")


@click.command()
@click.argument("keys", metavar="RUN...", nargs=-1, required=True)
@click.pass_obj
def compare(invocation: Invocation, keys: tuple[str, ...]) -> None:
    """Compare training runs: losses, perplexity, steadiness, and where their settings differ."""
    forge = invocation.forge()
    from forgellm.services import comparison
    from forgellm.storage.runs import find_run

    found = comparison.compare(forge, [find_run(forge.workspace, key) for key in keys], points=_POINTS)
    rows = [_row(one) for one in found.runs]
    narrow = (("at", 0), ("tokens/s", 0), ("variation", 0), ("perplexity", 0))
    for line in table(_HEADERS, rows, left=("run", "state"), width=output_width(), narrow=narrow):
        click.echo(line)
    for name, values in found.differences.items():
        click.echo(f"{name}: " + " | ".join(printable(json.dumps(value)) for value in values))
    if found.ranking:
        best = [place.run for n, place in enumerate(found.ranking) if n == 0 or place.tied]
        click.echo("Best: " + ", ".join(best) + (" (a tie)" if len(best) > 1 else ""))
    for warning in found.warnings:
        click.echo(warning, err=True)


@click.command()
@click.argument("key", metavar="RUN")
@click.pass_obj
def samples(invocation: Invocation, key: str) -> None:
    """Print what each checkpoint of a run answered to its sample prompts."""
    forge = invocation.forge()
    from forgellm.services.answers import sampled
    from forgellm.storage.runs import find_run

    found = sampled(forge, run := find_run(forge.workspace, key))
    if not found:
        click.echo(f"{run.id} was asked nothing: `forgellm train --sample-prompts TEXT` does.", err=True)
    for one in found:
        click.echo(printable(one.prompt))
        for answer in one.answers:
            click.echo(f"{answer.iteration:>8}  {printable(answer.text)}{'' if answer.finished else ' …'}")


@click.command()
@click.argument("key", metavar="RUN")
@click.option("--name", help="Shown by `runs show`, and on the page in place of the id; empty for none.")
@click.option("--notes", help="Anything that is worth remembering.")
@click.option("--tags", metavar="NAME,...", help="Words to find the run by, in place of those it has.")
@click.pass_obj
def label(
    invocation: Invocation, /, *, key: str, name: str | None, notes: str | None, tags: str | None
) -> None:
    """Name a run, note something on it, tag it."""
    forge = invocation.forge()
    from forgellm.services.labels import change_label
    from forgellm.storage.runs import find_run

    if name is notes is tags is None:
        raise InvalidField(
            "there is nothing to write on the run",
            details={"field": "name"},
            suggestion="Give --name, --notes or --tags.",
        )
    listed = None if tags is None else [tag.strip() for tag in tags.split(",") if tag.strip()]
    written = change_label(forge, find_run(forge.workspace, key), name=name, notes=notes, tags=listed)
    click.echo(f"{printable(written.name) or MISSING}  {printable(', '.join(written.tags))}".rstrip())


@click.command()
@click.argument("key", metavar="RUN")
@click.option("--before", metavar="RUN", help="The run that is to start after it.")
@click.option("--after", metavar="RUN", help="The run that is to start before it.")
@click.pass_obj
def move(invocation: Invocation, key: str, before: str | None, after: str | None) -> None:
    """Let a run in the queue start next, or before or after another one."""
    forge = invocation.forge()
    from forgellm.services import queue
    from forgellm.storage.runs import find_run

    run = find_run(forge.workspace, key)
    first, last = (None if name is None else find_run(forge.workspace, name) for name in (before, after))
    click.echo(queue.place_of(run, queue.move(forge, run, before=first, after=last)))


def _row(one: Compared) -> tuple[str, ...]:
    best = one.best[0].validation_loss if one.best else None
    return (
        one.run.id,
        one.state.value,
        figure(best),
        figure(perplexity_of(one.run.spec, best), ".2f"),
        f"{figure(one.gap, '.3f')} {one.gap_band or ''}".strip(),
        f"{figure(one.variation, '.3f')} {one.variation_band or ''}".strip(),
        figure(one.tokens_per_second, ",.0f"),
        str(one.best[0].iteration) if one.best else MISSING,
    )
