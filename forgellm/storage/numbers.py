"""The numbers that runs and registered models share: each is given once in a workspace."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from forgellm.domain.runs import Run
from forgellm.storage.files import next_number
from forgellm.storage.registered import list_registered
from forgellm.storage.workspace import Workspace


def new_number(workspace: Workspace, runs: Iterable[Run]) -> int:
    """A number that none of these `runs`, which are all of the workspace's, and no registered model has.

    That holds as well where the counter was lost. Raises DiskFull, ReadOnly.
    """
    taken = chain((run.number for run in runs), (model.number for model in list_registered(workspace)))
    return next_number(workspace.private / "counter", above=max(taken, default=0))
