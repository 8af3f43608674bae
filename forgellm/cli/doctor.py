"""`forgellm doctor`: whether this installation can work, and what would make it faster."""

from __future__ import annotations

import json
import sys

import click

from forgellm.cli.context import Invocation

_MARKS = {"ok": " ", "advice": "!", "problem": "x"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(invocation: Invocation, as_json: bool) -> None:
    """Examine versions, device, BLAS, memory and folders.

    Exits with 1 when something prevents work.
    """
    # psutil and the stores are not needed for `--help`.
    from forgellm.services import system
    from forgellm.settings import worker_environment

    facts = system.doctor(invocation.settings(), worker_environment())
    values = system.as_values(facts)
    if as_json:
        click.echo(json.dumps(values, indent=2))
    else:
        for fact in facts:
            shown = f"not measured ({fact.note})" if fact.value is None else fact.value
            note = f"  ({fact.note})" if fact.note and fact.value is not None else ""
            click.echo(f"{_MARKS[fact.level]} {fact.name:<16} {shown}{note}")
    sys.exit(0 if values["works"] else 1)
