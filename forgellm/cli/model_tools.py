"""`forgellm cli`: asking a model, and what it is."""

from __future__ import annotations

import click

from forgellm.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    commands_at={"generate": "forgellm.cli.generate:generate", "info": "forgellm.cli.info:info"},
)
def cli() -> None:
    """Ask a model, or see what it is."""
