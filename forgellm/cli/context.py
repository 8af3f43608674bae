"""What the command line hands to its commands: the workspace that was asked for, and the Forge on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forgellm.settings import Settings, read_settings

if TYPE_CHECKING:
    from forgellm.forge import Forge


@dataclass(frozen=True)
class Invocation:
    """One call of `forgellm`, with its global options."""

    workspace: str | None = None

    def within(self, workspace: str | None) -> Invocation:
        """The same call with the workspace that the command itself was given, if it was."""
        return self if workspace is None else Invocation(workspace)

    def settings(self) -> Settings:
        """Where workspace and Hub cache are; nothing is opened."""
        return read_settings(self.workspace)

    def forge(self) -> Forge:
        """The product, wired. Raises InvalidPath where the workspace is not a folder."""
        # Brings numpy in, which `--help` must not wait for.
        from forgellm.forge import Forge

        return Forge(self.settings())
