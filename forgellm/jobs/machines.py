"""What the processes of a run on several machines do: the first one leads, the others follow.

The first is the run: it prepares the data, trains, writes events and files, and leaves how it ended for the
worker, which has the last word. The others need nothing but the base model, and write nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.tuner.trainer import grad_checkpoint

from forgellm import __version__
from forgellm.domain.errors import ForgeError, HostLost, HostUnfit
from forgellm.domain.hosts import parse_hosts
from forgellm.domain.run_specs import spec_of
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.jobs.job import Job, Outcome
from forgellm.jobs.train import train
from forgellm.jobs.wakefulness import kept_awake
from forgellm.jobs.watch import OUTCOME, PEERS_GONE
from forgellm.jobs.worker import job_of, opened, outcome_of
from forgellm.settings import read_settings
from forgellm.storage.adapters import config_of
from forgellm.storage.files import write_json
from forgellm.storage.liveness import read_control
from forgellm.storage.models import ModelFolder, find_model, fingerprint
from forgellm.storage.workspace import Workspace
from forgellm.training.adapters import attach, load_base
from forgellm.training.gpu_memory import bound_memory
from forgellm.training.group import Group
from forgellm.training.objective_of import loss_of
from forgellm.training.optimizers import build_optimizer
from forgellm.training.sharing import follow


def lead(folder: Path, group: Group) -> int:
    """Train the run in `folder`; answers the exit status."""
    workspace, run = opened(folder)
    job = job_of(workspace, run, partial(read_control, folder))
    outcome = outcome_of(job, lambda: partial(_train, group=group))
    write_json(folder / OUTCOME, asdict(outcome))
    if outcome.values.get("code") == HostLost.code:
        return PEERS_GONE
    with suppress(HostLost):
        group.send("end")
    return 0


def _train(job: Job, group: Group) -> Outcome:
    _check_in(job, group)
    return train(job, group)


def _check_in(job: Job, group: Group) -> None:
    """Tell the others what is trained, and hear from each whether it can. Raises HostUnfit."""
    wish = {
        "spec": dict(job.run.spec),
        "workspace": str(job.workspace.root),
        "versions": _versions(),
        "fingerprint": job.run.base_fingerprint,
    }
    group.send("wish", wish)
    names = [host.name for host in parse_hosts(spec_of(job.run).hosts)]
    for name, problem in zip(names, group.answers(), strict=True):
        if problem:
            raise HostUnfit(
                f"{name} cannot take part: {problem}",
                details={"host": name},
                suggestion="Put that right on that machine, then resume the run.",
            )
    job.log.append("phase", phase=f"{group.size} machines are connected")


def take_part(group: Group) -> None:
    """Compute this machine's share of whatever the first one trains. Raises HostLost when another is gone."""
    with kept_awake():
        _take_part(group)


def _take_part(group: Group) -> None:
    wish: Any = group.receive().values
    try:
        base = _base(wish)
    except ForgeError as error:
        group.answers(error.message)
        # Whoever leads now says that it is over.
        group.receive()
        return
    group.answers()
    spec = parse_spec(wish["spec"])
    bound_memory(mx.device_info())
    model, _ = load_base(base.path)
    mx.random.seed(spec.seed)
    attach(model, config_of(spec))
    if spec.grad_checkpoint:
        grad_checkpoint(model.layers[0])
    _share(group, spec, model)


def _share(group: Group, spec: TrainingSpec, model: nn.Module) -> None:
    follow(
        group,
        model,
        build_optimizer(spec),
        loss=loss_of(spec),
        max_grad_norm=spec.max_grad_norm,
        compiled=mx.default_device() == mx.gpu,
    )


def _base(wish: Any) -> ModelFolder:
    """The base model as this machine has it. Raises HostUnfit, and what `find_model` raises."""
    for name, other in wish["versions"].items():
        if _versions()[name] != other:
            raise HostUnfit(f"it has {name} {_versions()[name]}, and the first machine has {other}")
    root = Path(wish["workspace"])
    base = find_model(Workspace(root), read_settings(root).hub_cache, wish["spec"]["model_name"])
    if wish["fingerprint"] not in (None, fingerprint(base.path)):
        raise HostUnfit(f"its {base.name} is not the model that the first machine has")
    return base


def _versions() -> dict[str, str]:
    return {"forgellm": __version__, "mlx": version("mlx"), "mlx-lm": version("mlx-lm")}
