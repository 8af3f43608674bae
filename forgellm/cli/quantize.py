"""`forgellm quantize`: a copy of a model in fewer bits, measured before and after."""

from __future__ import annotations

import click

from forgellm.cli.context import Invocation
from forgellm.domain.quantization import BITS, DEFAULT_BITS, DEFAULT_GROUP_SIZE, GROUP_SIZES, RECIPES


@click.command()
@click.argument("model", required=False)
@click.option(
    "--bits",
    type=click.Choice([str(known) for known in BITS]),
    help=f"Bits a weight. Default: {DEFAULT_BITS}.",
)
@click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    help="Fewer and more bits by layer, as mlx-lm mixes them; instead of --bits.",
)
@click.option(
    "--group-size",
    type=click.Choice([str(known) for known in GROUP_SIZES]),
    default=str(DEFAULT_GROUP_SIZE),
    show_default=True,
    help="Weights that share a scale.",
)
@click.option(
    "--dataset", help="Measured on before and after. Default: the validation set of the model's run."
)
@click.option("--name", help="Folder name under models/published/. Default: that of the model, and the bits.")
@click.pass_obj
def quantize(
    invocation: Invocation,
    model: str | None,
    *,
    bits: str | None,
    recipe: str | None,
    group_size: str,
    dataset: str | None,
    name: str | None,
) -> None:
    """Quantize a model, by default the newest published one.

    The copy lies beside the published models. Its validation loss is measured before and after.
    """
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import models, quantizing

    started = quantizing.quantize(
        forge,
        model or models.newest_published(forge),
        bits=None if bits is None else int(bits),
        recipe=recipe,
        group_size=int(group_size),
        dataset=dataset,
        name=name,
    )
    click.echo(f"Quantizing to models/published/{started.spec['name']} as run {started.id}")
    follow_to_end(forge, started)
