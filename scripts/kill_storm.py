"""Kill a training run at random moments, resume it each time, compare it with one that nothing happened to;
`scripts/storm` runs it.

Some kills come while the worker starts, some while it trains, most are aimed at one of the files of a save,
at the moment it shows half-written. After each one the run must be interrupted, every ranked checkpoint
whole and the events without gap; a resumption may repeat what came after the last save and no more. At the
end both runs must be equal bit for bit. A process with mlx_lm in its arguments stands by and must survive:
only the run's own worker is killed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
from run_inspection import differences, repeated, usable, violations

from forgellm.domain.errors import RunConflict
from forgellm.domain.metrics import series
from forgellm.domain.runs import Event, Run, RunState
from forgellm.forge import Forge
from forgellm.jobs import launcher
from forgellm.services import training
from forgellm.settings import packaged, read_settings
from forgellm.storage.events import events_path, read_events
from forgellm.storage.files import PARTIAL, read_json_lines
from forgellm.storage.liveness import state
from forgellm.storage.runs import run_folder

SAVE_EVERY = 5
ITERATIONS_PER_KILL = 20
SAVES_PER_LIFE = 6
LONGEST_RUN = 3600.0  # seconds
LONGEST_AFTERLIFE = 5.0  # seconds
LONGEST_LIFE = 300.0  # seconds; a worker that has neither ended nor met its kill by then is stuck
SPEC: Mapping[str, object] = {
    "model_name": "models/base/storm",
    "training_type": "cpt",
    "dataset": "storm",
    "learning_rate": 1e-3,
    "lora_rank": 64,
    "lora_dropout": 0.1,
    "grad_accumulation_steps": 2,
    "warmup_steps": 10,
    "lr_schedule": "cosine",
    "batch_size": 2,
    "max_seq_length": 32,
    "validation_tokens": 512,
    "eval_every": SAVE_EVERY,
    "save_every": SAVE_EVERY,
    "keep_checkpoints": 4,
    "seed": 7,
}
SAVES = {
    "weights": re.compile(r"\d{7,}_adapters\.safetensors"),
    "sidecar": re.compile(r"\d{7,}_adapters\.json"),
    "best": re.compile(r"adapters\.safetensors"),
    "state": re.compile(r"\d{7,}\.safetensors"),
    "state.json": re.compile(r"state\.json"),
}
"""The files of a save in the order in which they are written, by the name they get when they are whole."""
_HALF_WRITTEN = re.compile(re.escape(PARTIAL) + r"\d+-\d+-(.+)")


@dataclass(frozen=True)
class Shot:
    """When to kill: `seconds` after the launch or, unless `starting`, after the first iteration of this life;
    aimed, at the first half-written file `target` from then on, and `patience` seconds later. A state of
    iteration `ceiling` ends the wait.
    """

    seconds: float
    ceiling: int
    starting: bool = False
    target: str | None = None
    patience: float = 0.0


@dataclass(frozen=True)
class Pace:
    """Seconds that the reference took to its first iteration, and from one save to the next."""

    startup: float
    save: float


@dataclass(frozen=True)
class Kill:
    """What a kill met: its shot, the files it left half-written, and whether there was a state."""

    shot: Shot
    left: frozenset[str]
    had_state: bool


@dataclass
class Storm:
    """The tally: kills, what was found wrong, and how many checkpoints were examined."""

    kills: list[Kill] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    examined: int = 0


def aim(count: int, *, pace: Pace, draw: random.Random) -> list[Shot]:
    """The shots in random order, after a first one before there is any state.

    The ceiling rises with each: the run gets further with each life, and cannot end before the last shot.
    """
    aims: list[str | None] = ["starting", *SAVES, None, None]
    order = [aims[number % len(aims)] for number in range(count)]
    rest = draw.sample(order[1:], count - 1)
    return [
        _shot(aim, number * ITERATIONS_PER_KILL, pace=pace, draw=draw)
        for number, aim in enumerate([*order[:1], *rest], 1)
    ]


def _shot(target: str | None, ceiling: int, *, pace: Pace, draw: random.Random) -> Shot:
    if target == "starting":
        return Shot(draw.uniform(0.0, pace.startup), ceiling, starting=True)
    seconds = draw.uniform(0.0, SAVES_PER_LIFE * pace.save)
    patience = draw.choice((0.0, draw.uniform(0.0, 0.002))) if target else 0.0
    return Shot(seconds, ceiling, target=target, patience=patience)


def half_written(folder: Path) -> frozenset[str]:
    """Which files of a save are being written, or were when the worker died."""
    names = [*os.listdir(folder), *_listed(folder / "state")]
    whole = [match[1] for match in map(_HALF_WRITTEN.fullmatch, names) if match]
    return frozenset(kind for name in whole for kind, pattern in SAVES.items() if pattern.fullmatch(name))


def newest_state(folder: Path) -> int:
    """The iteration of the newest file of a state, 0 where there is none."""
    names = [name for name in _listed(folder / "state") if SAVES["state"].fullmatch(name)]
    return max((int(name.partition(".")[0]) for name in names), default=0)


def _listed(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def has_trained(folder: Path, offset: int) -> bool:
    """Whether an iteration was recorded behind byte `offset` of the events."""
    return any(
        record["type"] == "train" for record in read_json_lines(events_path(folder), offset=offset).records
    )


def worker_of(folder: Path) -> psutil.Process | None:
    """The child of this process that executes the run; None where it has ended already."""
    return next((child for child, arguments in _children() if str(folder) in arguments), None)


def end_workers(root: Path) -> None:
    """Kill what a storm that was broken off left running."""
    for child, arguments in _children():
        if any(argument.startswith(str(root)) for argument in arguments):
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _children() -> Iterator[tuple[psutil.Process, list[str]]]:
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            yield child, child.cmdline()


def wait_for(shot: Shot, folder: Path, worker: psutil.Process) -> None:
    """Return when it is time to kill, or when the worker has ended by itself."""
    launched, offset = time.monotonic(), events_path(folder).stat().st_size
    ceiling = max(shot.ceiling, newest_state(folder) + SAVE_EVERY + 1)
    while not shot.starting and not has_trained(folder, offset) and _goes_on(worker, launched):
        time.sleep(0.005)
    begun = time.monotonic()
    while newest_state(folder) < ceiling and _goes_on(worker, launched):
        for _ in range(100):
            due = time.monotonic() - begun >= shot.seconds
            if due and shot.target is None:
                return
            if due and shot.target in half_written(folder):
                return time.sleep(shot.patience)
            # Once it is due, the half-written file must not be missed: a save takes a few milliseconds.
            if not due:
                time.sleep(0.0002)


def _goes_on(worker: psutil.Process, launched: float) -> bool:
    ended = not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    return not ended and time.monotonic() - launched < LONGEST_LIFE


def strike(folder: Path, shot: Shot, storm: Storm) -> None:
    """Kill the worker, see what is left, and add it to the tally; one that had ended well is not counted."""
    worker = worker_of(folder)
    if worker is not None:
        wait_for(shot, folder, worker)
        worker.kill()
        worker.wait(30)
    now = state(folder)
    if now is RunState.COMPLETED:
        return
    found = violations(folder)
    if now is not RunState.INTERRUPTED:
        found.append(f"the run is {now.value}, not interrupted")
    had_state = (folder / "state" / "state.json").exists()
    storm.kills.append(Kill(shot, half_written(folder), had_state))
    storm.violations += [f"kill {len(storm.kills)}: {what}" for what in found]
    storm.examined += len(usable(folder))


class Scene:
    """A workspace with one model, one dataset and one run in it, of `iterations`."""

    def __init__(self, root: Path, *, model: Path, dataset: Path, iterations: int) -> None:
        shutil.copytree(model, root / "models" / "base" / "storm")
        shutil.copytree(dataset, root / "dataset" / "storm")
        self._forge = Forge(read_settings(root))
        self.run: Run = training.start(self._forge, {**SPEC, "max_iterations": iterations})
        self.folder = run_folder(self._forge.workspace, self.run)

    def resume(self) -> None:
        """Launch the run's worker again. What the killed one was just starting, such as MLX's compiler, may
        hold its locks for a moment longer than itself.
        """
        deadline = time.monotonic() + LONGEST_AFTERLIFE
        while True:
            try:
                return launcher.resume(self._forge.workspace, self.run, environment=self._forge.environment)
            except RunConflict:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def finish(self) -> None:
        """Wait for the end of the run."""
        worker = worker_of(self.folder)
        if worker is not None:
            worker.wait(LONGEST_RUN)

    def pace(self) -> Pace:
        """How fast the finished run was."""
        events = read_events(self.folder)
        first = next(e for e in events if e["type"] == "train")
        saves = [_time(e) for e in events if e["type"] == "checkpoint"]
        startup = (_time(first) - _time(events[0])).total_seconds()
        return Pace(startup, (saves[-1] - saves[0]).total_seconds() / (len(saves) - 1))


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(str(event["time"]).replace("Z", "+00:00"))


def unleash(scene: Scene, shots: list[Shot], storm: Storm) -> None:
    """One life of the worker for each shot, and a last one to the end of the run."""
    for shot in shots:
        strike(scene.folder, shot, storm)
        if state(scene.folder) is RunState.COMPLETED:
            break
        print(f"kill {len(storm.kills)} of {len(shots)}: {_words(storm.kills[-1])}", file=sys.stderr)
        scene.resume()
    scene.finish()
    if len(storm.kills) < len(shots):
        storm.violations.append(f"the run ended after {len(storm.kills)} of {len(shots)} kills")


def _words(kill: Kill) -> str:
    where = "while it started" if kill.shot.starting else "while it trained"
    where = f"aimed at {kill.shot.target}" if kill.shot.target else where
    left = f", left {' and '.join(sorted(kill.left))} half-written" if kill.left else ""
    return where + left + ("" if kill.had_state else ", before the first state")


@contextmanager
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process with mlx_lm in its arguments that waits until it is let go."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", "-m", "mlx_lm.server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.communicate()


def judge(reference: Scene, scene: Scene, storm: Storm) -> None:
    """Compare the two finished runs."""
    if state(reference.folder) is not RunState.COMPLETED or state(scene.folder) is not RunState.COMPLETED:
        storm.violations.append(
            f"the reference is {state(reference.folder).value}, the run {state(scene.folder).value}"
        )
    storm.violations += violations(scene.folder)
    storm.violations += differences(reference.folder, scene.folder)
    if max(repeated(scene.folder), default=0) > SAVE_EVERY:
        storm.violations.append(f"a kill cost more than the {SAVE_EVERY} iterations between two saves")


def table(scene: Scene, storm: Storm) -> list[tuple[str, str]]:
    """What the storm did, and what was examined."""
    kills, lost, events = storm.kills, repeated(scene.folder), read_events(scene.folder)
    left = Counter(kind for kill in kills for kind in kill.left)
    kinds = ", ".join(f"{kind} {left[kind]}" for kind in SAVES if left[kind])
    curves = [f"{len(series(events, key))} {key}" for key in ("training_loss", "validation_loss")]
    return [
        ("kills", str(len(kills))),
        ("  while the worker started", str(sum(kill.shot.starting for kill in kills))),
        ("  aimed at a save", str(sum(kill.shot.target is not None for kill in kills))),
        ("  that left a file half-written", f"{sum(bool(kill.left) for kill in kills)} ({kinds or 'none'})"),
        ("  before the first state", str(sum(not kill.had_state for kill in kills))),
        ("iterations repeated", f"{sum(lost)} in all, {max(lost, default=0)} after one kill at most"),
        ("checkpoints examined", f"{storm.examined} (hash, loads, finite)"),
        ("events examined", f"{len(events)} (numbers without gap or duplicate)"),
        ("compared bit for bit", f"{', '.join(curves)}, {len(usable(scene.folder))} ranked checkpoints"),
    ]


def storm(options: argparse.Namespace, root: Path) -> bool:
    """Both runs in workspaces below `root`, and the table; answers whether everything held."""
    iterations = ITERATIONS_PER_KILL * (options.kills + 1)
    places = {"model": options.model, "dataset": options.dataset, "iterations": iterations}
    tally, begun = Storm(), time.monotonic()
    print(f"seed {options.seed}; first {iterations} iterations undisturbed", file=sys.stderr)
    with bystander() as witness:
        reference = Scene(root / "reference", **places)
        reference.finish()
        shots = aim(options.kills, pace=reference.pace(), draw=random.Random(options.seed))
        scene = Scene(root / "storm", **places)
        unleash(scene, shots, tally)
        if witness.poll() is not None:
            tally.violations.append("the process that stood by is gone")
    judge(reference, scene, tally)
    for name, value in [*table(scene, tally), ("seconds", f"{time.monotonic() - begun:.0f}")]:
        print(f"{name:<34}{value}")
    print("\n".join(["VIOLATED:", *tally.violations]) if tally.violations else "everything held")
    return not tally.violations


def main() -> int:
    """Exit status 0 when everything held; otherwise 1, and both workspaces are kept to look at."""
    parser = argparse.ArgumentParser(prog="scripts/storm", description=(__doc__ or "").split(";")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(2**32), help="default: another each time"
    )
    parser.add_argument("--model", type=Path, help="base model; default: the small one that ships")
    parser.add_argument("--dataset", type=Path, help="folder of documents; default: the sample data")
    options = parser.parse_args()
    options.model = options.model or packaged("assets") / "lough-tiny"
    options.dataset = options.dataset or packaged("dataset") / "tamberlough"
    root = Path(tempfile.mkdtemp(prefix="forgellm-storm-")).resolve()
    try:
        held = storm(options, root)
    finally:
        end_workers(root)
    if held:
        shutil.rmtree(root)
    else:
        print(f"Both workspaces are kept in {root}", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
