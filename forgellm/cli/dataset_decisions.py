"""`forgellm datasets map|exclude|include`: deciding by hand what rows are taken for, and what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click

from forgellm.cli.answers import valid_text
from forgellm.cli.context import Invocation
from forgellm.cli.downloading import Download
from forgellm.cli.errors import printable
from forgellm.domain.errors import InvalidField

_LINES = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")
_MOST_LINES = 1_000_000

# The services are imported inside the commands: they reach numpy, which `--help` must not wait for.


@click.command("map")
@click.argument("name")
@click.argument("file")
@click.argument("columns", metavar="[PART=COLUMN]...", nargs=-1)
@click.option("--shape", help="What its rows are, where the parts do not say it: messages, text …")
@click.option("--recognise", is_flag=True, help="Forget what was decided: the file speaks for itself.")
@click.pass_obj
def map_file(
    invocation: Invocation,
    /,
    *,
    name: str,
    file: str,
    columns: tuple[str, ...],
    shape: str | None,
    recognise: bool,
) -> None:
    """Say which column of a file is which part of a row, and see what its first rows then come to.

    \b
    forgellm datasets map faq faq.csv prompt=Frage completion=Antwort
    forgellm datasets map wiki pages.jsonl text=body
    forgellm datasets map list list.csv "prompt=column 1" "completion=column 2"

    Who names the columns of a .csv or .tsv by number says that its first row does not name them.
    """
    if recognise is bool(columns or shape):
        raise click.UsageError("Give PART=COLUMN or --shape, or else --recognise.")
    chosen = dict(_pair(column) for column in columns)
    forge = invocation.forge()
    from forgellm.cli.dataset_lines import described, row_lines
    from forgellm.services import contents, decisions

    decisions.map_columns(forge, name, file, columns=chosen, shape=shape)
    found = contents.describe(forge, name)
    files = [one for one in found["files"] if one["file"] == file]
    for line in described({"files": files, "documents": [], "document_count": 0}):
        click.echo(line)
    for line in row_lines(contents.rows(forge, name, file=file, offset=0, limit=2, problems=False)):
        click.echo(line)


@click.command()
@click.argument("name")
@click.argument("file", required=False)
@click.argument("lines", metavar="[LINES]...", nargs=-1)
@click.option("--refused", is_flag=True, help="Whatever cannot be used, of FILE or of all files.")
@click.option("--model", help="With --refused: also rows that this model's chat template refuses.")
@click.pass_obj
def exclude(
    invocation: Invocation,
    /,
    *,
    name: str,
    file: str | None,
    lines: tuple[str, ...],
    refused: bool,
    model: str | None,
) -> None:
    """Leave rows out, by the lines that they begin on; without LINES all of FILE. The files stay as they are.

    \b
    forgellm datasets exclude faq faq.csv 7 12-19
    forgellm datasets exclude faq draft.md
    forgellm datasets exclude faq --refused
    """
    if (refused and lines) or not (refused or file):
        raise click.UsageError("Give FILE, FILE and LINES, or --refused.")
    if model and not refused:
        raise click.UsageError("--model is for --refused.")
    numbers = _numbers(lines)
    forge = invocation.forge()
    from forgellm.services import excluding

    if refused:
        shown = Download(patience=1.0)
        out = excluding.exclude_refused(forge, name, file=file, model=model, on_progress=shown.show)
        shown.end()
        if not out:
            click.echo("Nothing to leave out: every row can be used.")
        for line in _left_out(out):
            click.echo(line)
        return
    assert file is not None
    if not numbers:
        excluding.exclude(forge, name, {file: [0]})
        click.echo(f"{printable(file)}: left out")
        return
    count = excluding.rows_at(forge, name, file, numbers)
    excluding.exclude(forge, name, {file: numbers})
    click.echo(f"{printable(file)}: {_rows(count)} left out")


@click.command()
@click.argument("name")
@click.argument("file", required=False)
@click.argument("lines", metavar="[LINES]...", nargs=-1)
@click.pass_obj
def include(invocation: Invocation, name: str, file: str | None, lines: tuple[str, ...]) -> None:
    """Take back what was left out: LINES of FILE, all of FILE, or without either everything."""
    numbers = _numbers(lines)
    forge = invocation.forge()
    from forgellm.services import excluding

    left = excluding.include(forge, name, file=file, lines=numbers).excluded
    click.echo("Nothing is left out." if not left else "Still left out:")
    for line in _left_out(left):
        click.echo(line)


def _pair(text: str) -> tuple[str, str]:
    part, equals, column = valid_text(text).partition("=")
    if not (part and equals and column):
        raise click.UsageError(f"{text!r} is not PART=COLUMN, such as prompt=question.")
    return part, column


def _numbers(texts: tuple[str, ...]) -> list[int]:
    """`7`, `12-19`, and several between commas."""
    found: list[int] = []
    for text in ",".join(texts).split(",") if texts else ():
        match = _LINES.fullmatch(text.strip())
        first = int(match.group(1)) if match else 0
        last = int(match.group(2) or first) if match else 0
        if not 0 < first <= last:
            raise click.UsageError(f"{text!r} is no line such as 7, or lines such as 12-19.")
        if len(found) + last - first >= _MOST_LINES:
            raise InvalidField(
                f"those are more than {_MOST_LINES:,} lines", suggestion="Leave out the file, or split it."
            )
        found += range(first, last + 1)
    return found


def _left_out(lines: Mapping[str, list[int]]) -> Iterator[str]:
    for file, numbers in lines.items():
        yield f"{printable(file)}: {'all of it' if numbers == [0] else _rows(len(numbers))} left out"


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"
