"""`forgellm runs`: list, show, follow, log, stop, pause, resume, move, delete and restore runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from forgellm.cli.context import Invocation
from forgellm.cli.run_table import run_lines, run_table
from forgellm.cli.run_views import compare, label, move, samples
from forgellm.cli.terminal import agree, output_width
from forgellm.domain.runs import Event, Run, RunState

if TYPE_CHECKING:
    from forgellm.forge import Forge

_LISTED = 20

# The services are imported inside the commands: they reach numpy, which `--help` must not wait for.

_run_argument = click.argument("key", metavar="[RUN]", required=False)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_detach_option = click.option("--detach", is_flag=True, help="Return at once.")


class ListsByDefault(click.Group):
    """`forgellm runs` alone, or with the options of `list`, lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Whoever completes a command is looking for its name.
        if not ctx.resilient_parsing and (not args or args[0] in ("--json", "--last")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListsByDefault)
def runs() -> None:
    """List, show, follow, stop, pause, resume and delete runs.

    RUN is an id, a number or a folder; without it the newest run that fits. Without a command: list.
    """


@runs.command("list")
@_json_option
@click.option("--last", type=click.IntRange(min=1), help="How many. Default: 20, or all of them as JSON.")
@click.pass_obj
def list_runs(invocation: Invocation, as_json: bool, last: int | None) -> None:
    """List runs, the newest last."""
    forge = invocation.forge()
    from forgellm.services import runs as service

    statuses = service.statuses(forge, last=last if last or as_json else _LISTED)
    if as_json:
        click.echo(json.dumps([service.as_values(status) for status in statuses], indent=2))
        return
    for line in run_table(statuses, width=output_width()):
        click.echo(line)


@runs.command()
@_run_argument
@_json_option
@click.pass_obj
def show(invocation: Invocation, key: str | None, as_json: bool) -> None:
    """Show a run: state, figures, settings, best checkpoints."""
    forge = invocation.forge()
    from forgellm.services import runs as service

    run = service.find(forge, key, wanted=_any, sought="run")
    status = service.status(forge, run, verify=True)
    if as_json:
        click.echo(json.dumps(service.as_values(status), indent=2))
        return
    for line in run_lines(status, width=output_width()):
        click.echo(line)


@runs.command()
@_run_argument
@click.pass_obj
def follow(invocation: Invocation, key: str | None) -> None:
    """Follow a run until it ends, from its first event on."""
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import runs as service

    follow_to_end(forge, service.find(forge, key, wanted=_any, sought="run"))


@runs.command()
@_run_argument
@click.option("--lines", type=click.IntRange(min=1), help="Only the last so many lines.")
@click.pass_obj
def log(invocation: Invocation, key: str | None, lines: int | None) -> None:
    """Print what a run's process wrote."""
    forge = invocation.forge()
    from forgellm.services import runs as service

    run = service.find(forge, key, wanted=_any, sought="run")
    text = service.log(forge, run).splitlines()
    if not text:
        click.echo(f"{run.id} wrote nothing. `forgellm runs follow {run.id}` shows what happened.", err=True)
    for line in text[-lines:] if lines else text:
        click.echo(line)


@runs.command()
@_run_argument
@_detach_option
@click.pass_obj
def stop(invocation: Invocation, key: str | None, detach: bool) -> None:
    """End a run, with a checkpoint of where it is; `resume` takes it up again."""
    forge = invocation.forge()
    from forgellm.jobs import launcher
    from forgellm.services import runs as service

    run = service.find(forge, key, wanted=_is_active, sought="active run")
    known = service.events(forge, run)
    launcher.stop(forge.workspace, run)
    _see_out(forge, run, known, detach=detach)


@runs.command()
@_run_argument
@_detach_option
@click.pass_obj
def pause(invocation: Invocation, key: str | None, detach: bool) -> None:
    """Save a run's state and end its process; `resume` goes on from there."""
    forge = invocation.forge()
    from forgellm.jobs import launcher
    from forgellm.services import runs as service

    run = service.find(forge, key, wanted=_is_training, sought="running training run")
    known = service.events(forge, run)
    launcher.pause(forge.workspace, run)
    _see_out(forge, run, known, detach=detach)


@runs.command()
@_run_argument
@_detach_option
@click.pass_obj
def resume(invocation: Invocation, key: str | None, detach: bool) -> None:
    """Go on with a paused, stopped, interrupted or failed run, and follow it."""
    forge = invocation.forge()
    from forgellm.services import runs as service
    from forgellm.services import training

    run = service.find(forge, key, wanted=_can_resume, sought="run to resume")
    known = service.events(forge, run)
    training.resume(forge, run)
    _see_out(forge, run, known, detach=detach)


@runs.command()
@click.argument("key", metavar="RUN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(invocation: Invocation, key: str, yes: bool) -> None:
    """Move a run with all its checkpoints to the trash."""
    forge = invocation.forge()
    from forgellm.services import runs as service
    from forgellm.storage.runs import move_to_trash

    run = service.find(forge, key, wanted=_any, sought="run")
    if not yes:
        agree(f"Move run {run.id} ({run.folder}) to the trash?")
    move_to_trash(forge.workspace, run)
    click.echo(f"Moved to the trash; `forgellm runs restore {run.id}` brings it back.")


@runs.command()
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def restore(invocation: Invocation, run_id: str) -> None:
    """Bring a deleted run back from the trash, by its id."""
    forge = invocation.forge()
    from forgellm.storage.runs import restore_from_trash

    run = restore_from_trash(forge.workspace, run_id)
    click.echo(f"Run {run.id} is back in {run.folder}")


runs.add_command(compare)
runs.add_command(samples)
runs.add_command(label)
runs.add_command(move)


def _see_out(forge: Forge, run: Run, known: Sequence[Event], *, detach: bool) -> None:
    from forgellm.cli.follow import follow_to_end

    if detach:
        click.echo(f"`forgellm runs follow {run.id}` shows {run.id}.")
    else:
        follow_to_end(forge, run, known=known)


def _any(run: Run, state: RunState) -> bool:
    return True


def _is_active(run: Run, state: RunState) -> bool:
    return state.is_active


def _can_resume(run: Run, state: RunState) -> bool:
    return run.kind.trains and state.can_resume


def _is_training(run: Run, state: RunState) -> bool:
    return run.kind.trains and state is RunState.RUNNING
