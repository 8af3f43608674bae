"""`forgellm datasets`: add, list, show, preview, check, split, convert, remove and restore datasets.

What is decided about them is in `dataset_decisions`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from forgellm.cli.answers import valid_text
from forgellm.cli.context import Invocation
from forgellm.cli.dataset_decisions import exclude, include, map_file
from forgellm.cli.downloading import Download
from forgellm.cli.errors import printable
from forgellm.cli.runs import ListsByDefault
from forgellm.cli.tables import NAME_ENDS, size, table
from forgellm.cli.terminal import agree, output_width

_HUB = "hf:"
_INTERRUPTED = 130

# The services are imported inside the commands: they reach numpy, which `--help` must not wait for.

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_model_option = click.option("--model", help="Count in the tokens of this base model.")
_length_option = click.option("--max-seq-length", type=click.IntRange(min=8), help="Tokens in one row.")


@click.group(cls=ListsByDefault)
def datasets() -> None:
    """Add, list, look into, check and remove datasets. Without a command: list."""


@datasets.command("list")
@_json_option
@click.pass_obj
def list_datasets(invocation: Invocation, as_json: bool) -> None:
    """List the datasets of the workspace."""
    forge = invocation.forge()
    from forgellm.services.datasets import datasets as known

    found = known(forge)
    if as_json:
        rows = [
            {
                "name": one.name,
                "path": one.path,
                "file_count": one.file_count,
                "size_bytes": one.size_bytes,
                "estimated_tokens": one.estimated_tokens,
            }
            for one in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("No datasets. `forgellm datasets add FILE …` makes one; `forgellm demo` brings its own.")
        return
    cells = [
        (one.name, str(one.file_count), size(one.size_bytes), f"{one.estimated_tokens:,}") for one in found
    ]
    headers = ("name", "files", "size", "about tokens")
    narrow = (("files", 0), ("about tokens", 0), ("name", NAME_ENDS))
    for line in table(headers, cells, left=("name",), width=output_width(), narrow=narrow):
        click.echo(line)


@datasets.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--name", help="Of the dataset. Default: that of the first file, of the folder or on the Hub.")
@click.option("--append", is_flag=True, help="Add files to a dataset that is there already.")
@click.option("--include", help="Of a dataset on the Hub, only files like this: 'plain_text/*'.")
@click.pass_obj
def add(
    invocation: Invocation,
    /,
    *,
    sources: tuple[str, ...],
    name: str | None,
    append: bool,
    include: str | None,
) -> None:
    """Make a dataset of files, of a folder, or of hf:NAME, a dataset on the Hugging Face Hub.

    \b
    forgellm datasets add manual.pdf notes.md --name manuals
    forgellm datasets add ./my-folder
    forgellm datasets add hf:OWNER/NAME
    """
    forge = invocation.forge()
    from forgellm.cli.dataset_lines import described
    from forgellm.services import adding, contents

    shown = Download(patience=1.0)
    texts = [valid_text(source) for source in sources]
    try:
        if any(text.startswith(_HUB) for text in texts):
            if len(texts) > 1 or append:
                raise click.UsageError("hf:NAME makes a new dataset, by itself.")
            added = adding.add_from_hub(
                forge, texts[0].removeprefix(_HUB), name=name, include=include, on_progress=shown.show
            )
        else:
            if include is not None:
                raise click.UsageError("--include is for hf:NAME.")
            paths = [Path(source) for source in sources]
            added = adding.add_files(forge, paths, name=name, append=append, on_progress=shown.show)
    except KeyboardInterrupt:
        click.echo("\nStopped: nothing was added.", err=True)
        sys.exit(_INTERRUPTED)
    shown.end()
    click.echo(f"dataset/{added.name}: {added.files} {'file' if added.files == 1 else 'files'}")
    if added.passed_over:
        more = f" and {len(added.passed_over) - 5} more" if len(added.passed_over) > 5 else ""
        names = printable(", ".join(added.passed_over[:5]))
        click.echo(f"Passed over, because no reader is for them: {names}{more}")
    for line in described(contents.describe(forge, added.name)):
        click.echo(line)


@datasets.command()
@click.argument("name")
@click.option("--file", help="One file of it. Default: the first file of rows, or all documents.")
@click.option("--rows", "limit", type=click.IntRange(0, 100), default=3, show_default=True, help="How many.")
@click.option("--from", "offset", type=click.IntRange(min=0), default=0, help="After so many rows.")
@click.option("--problems", is_flag=True, help="Only rows with something wrong.")
@_json_option
@click.pass_obj
def show(
    invocation: Invocation,
    /,
    *,
    name: str,
    file: str | None,
    limit: int,
    offset: int,
    problems: bool,
    as_json: bool,
) -> None:
    """Show the files of a dataset, what they are taken for and why, and their first rows."""
    forge = invocation.forge()
    from forgellm.cli.dataset_lines import described, row_lines
    from forgellm.services import contents

    found = contents.describe(forge, name)
    page = (
        contents.rows(forge, name, file=file, offset=offset, limit=limit, problems=problems)
        if limit
        else {"rows": [], "file": None, "more": False}
    )
    if as_json:
        click.echo(json.dumps({**found, "rows": page["rows"], "rows_of": page["file"]}, indent=2))
        return
    for line in (*described(found), *row_lines(page)):
        click.echo(line)


@datasets.command()
@click.argument("name")
@click.option("--model", required=True, help="The base model whose chat template and tokens are shown.")
@_length_option
@click.option(
    "--chunk-overlap", type=click.IntRange(min=0), default=0, help="Tokens; as in the spec of a run."
)
@click.option("--file", help="One file of it.")
@click.option("--rows", "limit", type=click.IntRange(1, 20), default=3, show_default=True, help="How many.")
@click.option("--from", "offset", type=click.IntRange(min=0), default=0, help="After so many rows.")
@_json_option
@click.pass_obj
def preview(invocation: Invocation, /, *, name: str, model: str, as_json: bool, **page: Any) -> None:
    """Show rows as a model is trained on them, token by token: what is learned stands out.

    Learned text is green; without colour it stands between ⟦ and ⟧.
    """
    forge = invocation.forge()
    from forgellm.cli.dataset_lines import preview_lines
    from forgellm.services import contents

    found = contents.preview(forge, name, model=model, page=page)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in preview_lines(found, colour=_has_colour()):
        click.echo(line)


@datasets.command()
@click.argument("name")
@_model_option
@_length_option
@click.option("--max-iterations", type=click.IntRange(min=1), help="Tell how many epochs such a run has.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Of that run.")
@click.option("--grad-accumulation-steps", type=click.IntRange(min=1), help="Of that run.")
@click.option("--training-type", type=click.Choice(["cpt", "ift"]), help="Of that run.")
@_json_option
@click.pass_obj
def check(
    invocation: Invocation,
    /,
    *,
    name: str,
    model: str | None,
    max_seq_length: int | None,
    as_json: bool,
    **run: Any,
) -> None:
    """Check every row: counts, problems, duplicates, overlap; with --model, lengths in tokens too.

    Ends with 1 where there is nothing to train on, or something is wrong with a row.
    """
    forge = invocation.forge()
    from forgellm.cli.dataset_lines import report_lines
    from forgellm.services import contents

    shown = Download(patience=1.0)
    found = contents.report(
        forge,
        name,
        model=model,
        max_seq_length=max_seq_length,
        on_progress=shown.show,
    )
    shown.end()
    passes = contents.epochs(found, run) if run["max_iterations"] else None
    if as_json:
        click.echo(json.dumps({**found, "passes": None if passes is None else asdict(passes)}, indent=2))
    else:
        for line in report_lines(found):
            click.echo(line)
        if passes is not None:
            kind = passes.training_type
            click.echo(f"{passes.iterations} iterations of {kind} are {passes.epochs:.2f} epochs.")
    if found["refused"] or not found["usable"] or found["problem_count"]:
        sys.exit(1)


@datasets.command()
@click.argument("name")
@click.argument("new_name")
@click.option("--valid", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share.")
@click.option("--heldout", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Share.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.pass_obj
def split(invocation: Invocation, /, *, name: str, new_name: str, **shares: Any) -> None:
    """Write a new dataset with parts to validate on and to hold out; equal rows stay on one side."""
    forge = invocation.forge()
    from forgellm.services import conversion

    _say_made(new_name, conversion.split(forge, name, name=new_name, **shares))


@datasets.command()
@click.argument("name")
@click.argument("new_name")
@click.option("--to", type=click.Choice(["messages", "transcripts", "utf8"]), default="messages")
@click.option("--user", multiple=True, help="For transcripts: how the user's turns begin, such as 'Q:'.")
@click.option("--assistant", multiple=True, help="For transcripts: how the assistant's turns begin.")
@click.option("--encoding", help="For utf8: what files that are not UTF-8 are in, such as cp1252.")
@click.pass_obj
def convert(
    invocation: Invocation,
    /,
    *,
    name: str,
    new_name: str,
    to: str,
    user: tuple[str],
    assistant: tuple[str],
    encoding: str | None,
) -> None:
    """Write a new dataset in another form: rows to messages, transcripts to messages, texts to UTF-8."""
    if bool(user) != bool(assistant):
        raise click.UsageError("--user and --assistant belong together.")
    forge = invocation.forge()
    from forgellm.services import conversion

    patterns = {"user": list(user), "assistant": list(assistant)} if user else None
    made = conversion.convert(forge, name, name=new_name, to=to, patterns=patterns, encoding=encoding)
    _say_made(new_name, made)


@datasets.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(invocation: Invocation, name: str, yes: bool) -> None:
    """Move a dataset to the trash."""
    forge = invocation.forge()
    from forgellm.services import dataset_removal

    dataset_removal.check_removable(forge, name)
    if not yes:
        agree(f"Move dataset/{name} to the trash?")
    dataset_removal.remove(forge, name)
    click.echo(f"Moved to the trash; `forgellm datasets restore {name}` brings it back.")


@datasets.command()
@click.argument("name")
@click.pass_obj
def restore(invocation: Invocation, name: str) -> None:
    """Bring back the dataset that was removed last under that name."""
    forge = invocation.forge()
    from forgellm.services import dataset_removal

    click.echo(f"Dataset {name} is back in {dataset_removal.restore(forge, name)}")


for command in (map_file, exclude, include):
    datasets.add_command(command)


def _say_made(name: str, made: Mapping[str, Any]) -> None:
    for file, count in made["written"].items():
        click.echo(printable(f"dataset/{name}/{file}: {count}"))
    if made["left_out"]:
        click.echo(f"{made['left_out']} left out:")
    for problem in made["problems"][:20]:
        line = "" if problem["line"] is None else f", line {problem['line']}"
        click.echo(printable(f"  {problem['file']}{line}: {problem['reason']}"))


def _has_colour() -> bool:
    return sys.stdout.isatty() and click.get_current_context().color is not False
