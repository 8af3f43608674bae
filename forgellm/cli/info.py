"""`forgellm cli info`: what a model and an adapter are."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from forgellm.cli.answers import harmless, valid_text
from forgellm.cli.context import Invocation
from forgellm.cli.opening import target_of

if TYPE_CHECKING:
    from forgellm.services.model_info import AdapterInfo, ModelInfo

_KINDS = {"lora": "LoRA Adapter", "dora": "DoRA Adapter", "full": "Full Weights"}


@click.command()
@click.option(
    "--model", required=True, metavar="NAME", help="A folder such as models/base/NAME, a Hub id, or a run."
)
@click.option(
    "--adapter-path", metavar="PATH", help="The folder of a training run, or one of its checkpoints."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def info(invocation: Invocation, model: str, *, adapter_path: str | None, as_json: bool) -> None:
    """Show what a model is, and what an adapter adds.

    Nothing is loaded: the figures are those of the configuration and of the headers of the weights.
    """
    target = target_of(invocation, valid_text(model), adapter_path and valid_text(adapter_path), server=None)
    from forgellm.services.model_info import describe

    found, adapter = describe(invocation.forge(), target)
    if as_json:
        values = {"model": asdict(found), "adapter": None if adapter is None else asdict(adapter)}
        click.echo(json.dumps(values, indent=2))
        return
    lines = _model_lines(found) if adapter is None else [*_model_lines(found), "", *_adapter_lines(adapter)]
    for line in lines:
        click.echo(harmless(line))


def _model_lines(found: ModelInfo) -> list[str]:
    context = found.context_length
    return [
        "Model Information:",
        f"  Name: {found.name}",
        f"  Type: {found.model_type.capitalize()} Model",
        f"  Architecture: {found.architecture}",
        f"  Parameters: {_counted(found.parameters) or f'unknown ({found.parameters_problem})'}",
        f"  Quantization: {found.quantization}",
        f"  Context Length: {f'{context:,} tokens' if context else 'unknown (config.json does not say)'}",
    ]


def _adapter_lines(found: AdapterInfo) -> list[str]:
    lines = ["Adapter Information:", f"  Path: {found.path}", f"  Type: {_KINDS.get(found.kind, found.kind)}"]
    if found.rank is not None and found.alpha is not None:
        lines += [f"  Rank: {found.rank}", f"  Alpha: {found.alpha:g}"]
    if found.modules:
        lines.append(f"  Target Modules: {', '.join(found.modules)}")
    if found.also:
        lines.append(f"  Trained Whole: {', '.join(found.also)}")
    return lines


def _counted(count: int | None) -> str | None:
    """`~4B`, `~1.7B`, `~596M`, `~110K`: what people call a model of that size."""
    if count is None:
        return None
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        # 999,999,999 is a billion to everyone.
        if count >= 0.9995 * size:
            shown = f"{count / size:.1f}" if count < 10 * size else f"{count / size:.0f}"
            return f"~{shown.removesuffix('.0')}{letter}"
    return str(count)
