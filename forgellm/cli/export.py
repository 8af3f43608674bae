"""`forgellm export`: a model or an adapter in the form that other programs read."""

from __future__ import annotations

import click

from forgellm.cli.context import Invocation
from forgellm.domain.exports import DEFAULT_GGUF_TYPE, GGUF_TYPES, ExportFormat


@click.command()
@click.argument("source", required=False)
@click.option(
    "--format",
    "kind",
    type=click.Choice([known.value for known in ExportFormat]),
    default=ExportFormat.GGUF.value,
    show_default=True,
    help="peft exports the adapter of a run, all others a model.",
)
@click.option(
    "--type",
    "gguf_type",
    type=click.Choice(list(GGUF_TYPES)),
    help=f"Type of the numbers in a GGUF file. Default: {DEFAULT_GGUF_TYPE}.",
)
@click.option("--iteration", type=int, help="With peft: which checkpoint. Default: the best one.")
@click.option("--name", help="Folder name under models/exports/. Default: that of the model, and the format.")
@click.pass_obj
def export(
    invocation: Invocation,
    source: str | None,
    *,
    kind: str,
    gguf_type: str | None,
    iteration: int | None,
    name: str | None,
) -> None:
    """Export a model for llama.cpp, Ollama and others, or an adapter for PEFT.

    \b
    forgellm export models/published/NAME --type q8_0
    forgellm export models/published/NAME --format ollama
    forgellm export RUN --format peft

    SOURCE is a model, by default the newest published one; with peft a run, by default the newest one with
    checkpoints. Only published models of these architectures become GGUF: llama, mistral, qwen2, qwen3,
    gemma3, phi3.
    """
    if iteration is not None and kind != ExportFormat.PEFT.value:
        raise click.UsageError(
            "--iteration is for --format peft. Publish the checkpoint to export it otherwise."
        )
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import exporting, models, runs
    from forgellm.storage.runs import list_runs

    if kind == ExportFormat.PEFT.value:
        wanted = runs.find(
            forge, source, wanted=lambda r, _: runs.has_checkpoints(forge, r), sought="run with checkpoints"
        )
        started = exporting.export_adapter(forge, wanted, iteration=iteration, name=name)
    elif source is not None and any(
        source in (run.id, str(run.number)) for run in list_runs(forge.workspace)
    ):
        raise click.UsageError(f"{source} is a run. Publish it, or export its adapter with --format peft.")
    else:
        chosen = source or models.newest_published(forge)
        started = exporting.export_model(forge, chosen, format=kind, gguf_type=gguf_type, name=name)
    click.echo(f"Exporting to models/exports/{started.spec['name']} as run {started.id}")
    follow_to_end(forge, started)
    ollama = started.spec["format"] == ExportFormat.OLLAMA.value
    if ollama:
        place = f"models/exports/{started.spec['name']}"
        click.echo(f"`ollama create {started.spec['name']} -f {place}/Modelfile` takes it.")
