"""`forgellm train`: start a training run from options or a YAML file, and follow it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

import click

from forgellm.cli.context import Invocation
from forgellm.cli.fields import field_options, given
from forgellm.domain.errors import InvalidField
from forgellm.domain.hosts import hosts_of_file
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.services.spec_text import read_yaml, to_yaml

if TYPE_CHECKING:
    from forgellm.forge import Forge


@click.command()
@click.option(
    "--config", type=click.File(encoding="utf-8"), help="YAML file with fields; options win. - is stdin."
)
@field_options
@click.option(
    "--hostfile",
    type=click.File(encoding="utf-8"),
    help="The machines, as a host file of mlx.launch (mlx.distributed_config writes one); gives --hosts.",
)
@click.option("--queue", is_flag=True, help="Wait for the run that is training instead of refusing.")
@click.option("--detach", is_flag=True, help="Start the run and return; it goes on in the background.")
@click.option("--print-yaml", is_flag=True, help="Print the equivalent YAML file and start nothing.")
@click.option("--plan", is_flag=True, help="Say what the run will be and take, and start nothing.")
@click.pass_obj
def train(
    invocation: Invocation,
    /,
    *,
    config: TextIO | None,
    hostfile: TextIO | None,
    queue: bool,
    detach: bool,
    print_yaml: bool,
    plan: bool,
    **fields: object,
) -> None:
    """Train on a dataset and rank the checkpoints.

    \b
    forgellm train --model-name models/base/NAME --training-type cpt --dataset NAME
    forgellm train --config run.yaml --learning-rate 1e-4
    forgellm train --config run.yaml --plan

    An option given as `none` empties a field that may be empty. Ctrl-C pauses the run, after asking on a
    terminal; `forgellm runs resume` goes on from there.
    """
    values = read_yaml(_text(config), name=config.name) if config else {}
    values.update(given(fields))
    if hostfile is not None:
        values["hosts"] = _hosts(hostfile, values.get("hosts"))
    if print_yaml and not values.get("start_from"):
        click.echo(to_yaml(to_dict(parse_spec(values))), nl=False)
        return
    forge = invocation.forge()
    # These reach numpy through the check of the dataset, which `--help` must not wait for.
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import beginnings, training

    if print_yaml:
        # What the adapter decides stands in its folder.
        click.echo(to_yaml(to_dict(parse_spec(beginnings.continuing(forge, values)))), nl=False)
        return
    if plan:
        _say_plan(forge, values, queue=queue)
        return
    run = training.start(forge, values, queue=queue)
    click.echo(to_yaml(run.spec))
    click.echo(f"Run {run.id} (number {run.number}) in {run.folder}")
    if detach:
        click.echo(f"`forgellm runs follow {run.id}` shows it.")
    else:
        follow_to_end(forge, run)


def _say_plan(forge: Forge, values: Mapping[str, object], *, queue: bool) -> None:
    """Print what the run will be; a run that cannot start ends the command with 1."""
    # They reach numpy, which `--help` must not wait for.
    from forgellm.cli.plan_view import plan_lines
    from forgellm.services.preflight import preflight

    found = preflight(forge, values, queue=queue)
    for line in plan_lines(found):
        click.echo(line)
    if not found.can_start:
        sys.exit(1)


def _hosts(hostfile: TextIO, others: object) -> list[str]:
    if others:
        raise InvalidField(
            "hosts are given twice",
            details={"field": "hosts"},
            suggestion="Give --hosts or --hostfile, and no hosts in the file of --config beside the latter.",
        )
    try:
        return hosts_of_file(json.loads(_text(hostfile)))
    except ValueError as error:
        raise InvalidField(
            f"{hostfile.name} is not JSON: {error}",
            details={"file": hostfile.name},
            suggestion="mlx.distributed_config writes such files; or name the machines: --hosts a,b.",
        ) from error


def _text(config: TextIO) -> str:
    try:
        return config.read()
    except UnicodeDecodeError as error:
        raise InvalidField(
            f"{config.name} is not UTF-8 text: {error.reason} at byte {error.start}",
            details={"file": config.name},
            suggestion="Save the file as UTF-8.",
        ) from error
