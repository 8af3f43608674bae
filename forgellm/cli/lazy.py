"""A Click group that imports a command when it is asked for, and shows a ForgeError as text."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from forgellm.cli.errors import file_error, shown
from forgellm.domain.errors import ForgeError


class LazyGroup(click.Group):
    """`commands_at` maps each command's name to "module:attribute"."""

    def __init__(self, *args: object, commands_at: Mapping[str, str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands_at:
            return None
        module, attribute = self.commands_at[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ForgeError as error:
            raise shown(error) from error
        except BrokenPipeError:
            # Click ends quietly: whoever read the output has gone.
            raise
        except OSError as error:
            raise shown(file_error(error)) from error
