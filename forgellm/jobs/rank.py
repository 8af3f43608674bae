"""`python -m forgellm.jobs.rank RUN_FOLDER`: one machine's process of a run that several train.

mlx.launch starts one on each. The first is the run: it prepares the data, trains, writes events and files,
and leaves how it ended for the worker, which has the last word. The others need nothing but the base model,
and write nothing. Every one ends when its standard input does: whoever started it is gone then.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.tuner.trainer import grad_checkpoint
from mlx_lm.utils import maybe_set_recommended_wired_limit

from forgellm import __version__
from forgellm.domain.errors import ForgeError, HostLost, HostUnfit
from forgellm.domain.hosts import parse_hosts
from forgellm.domain.spec import TrainingSpec, parse_spec
from forgellm.jobs.job import Job, Outcome
from forgellm.jobs.train import train
from forgellm.jobs.wakefulness import kept_awake
from forgellm.jobs.watch import BEAT, BEAT_SECONDS, OUTCOME, PEERS_GONE
from forgellm.jobs.worker import job_of, opened, outcome_of
from forgellm.settings import read_settings
from forgellm.storage.adapters import config_of
from forgellm.storage.files import write_json
from forgellm.storage.liveness import read_control
from forgellm.storage.models import ModelFolder, find_model, fingerprint
from forgellm.storage.workspace import Workspace
from forgellm.training.adapters import attach, load_base
from forgellm.training.group import Group
from forgellm.training.objective_of import loss_of
from forgellm.training.optimizers import build_optimizer
from forgellm.training.sharing import follow


def main(arguments: Sequence[str]) -> int:
    """Take this machine's part in the run; answers the exit status."""
    options = _parse(arguments)
    threading.Thread(target=_end_with_input, name="whoever started this", daemon=True).start()
    group = Group(options.backend)
    if group.rank == 0:
        return _lead(options.folder, group)
    threading.Thread(target=_beat, args=(group.rank,), name="beat", daemon=True).start()
    try:
        with kept_awake():
            _follow(group)
    except HostLost as error:
        print(error.message, file=sys.stderr)
        return PEERS_GONE
    return 0


def _lead(folder: Path, group: Group) -> int:
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
    names = [host.name for host in parse_hosts(parse_spec(job.run.spec).hosts)]
    for name, problem in zip(names, group.answers(), strict=True):
        if problem:
            raise HostUnfit(
                f"{name} cannot take part: {problem}",
                details={"host": name},
                suggestion="Put that right on that machine, then resume the run.",
            )
    job.log.append("phase", phase=f"{group.size} machines are connected")


def _follow(group: Group) -> None:
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
    maybe_set_recommended_wired_limit()
    model, _ = load_base(base.path)
    mx.random.seed(spec.seed)
    attach(model, config_of(spec))
    if spec.grad_checkpoint:
        grad_checkpoint(model.layers[0])
    _share(group, spec, model)


def _share(group: Group, spec: TrainingSpec, model: Any) -> None:
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


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(PEERS_GONE)


def _beat(rank: int) -> None:
    """A machine that loses its power or its network says nothing of it; it only falls silent."""
    while True:
        os.write(sys.stdout.fileno(), BEAT % rank)
        time.sleep(BEAT_SECONDS)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m forgellm.jobs.rank", description="Take part in a run.")
    parser.add_argument("folder", type=Path, help="the run's folder on the first machine")
    parser.add_argument("--backend", required=True, help="ring, jaccl or jaccl-ring")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
