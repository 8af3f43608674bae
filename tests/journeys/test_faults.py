"""What goes wrong while a real run trains, and what is left then: a named reason, nothing lost or broken."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import mlx.core as mx
import pytest

from forgellm.domain.metrics import series
from forgellm.domain.runs import RunState
from forgellm.jobs import launcher
from forgellm.services import runs, training
from forgellm.storage.checkpoints import checkpoint_path, read_checkpoints, sha256_of
from forgellm.storage.events import events_path, read_events
from forgellm.storage.files import PARTIAL, read_json_lines
from forgellm.storage.liveness import failure, state
from forgellm.storage.runs import list_runs, run_folder
from scripts.run_inspection import differences, usable, violations
from tests.jobs.sample_worker import wait_for_end, wait_for_event
from tests.journeys.lives import SPEC, begin, end_by, go_on, reach, standing_still

SMALL = {"lora_rank": 1, "num_layers": 1, "lora_keys": ["self_attn.q_proj"]}
"""Adapters of a few hundred bytes, so that no file of the run outgrows its events."""


def iterations(folder: Path) -> list[int]:
    return sorted(c.iteration for c in usable(folder))


def test_a_diverging_run_fails_with_a_way_out_and_keeps_what_was_good(forge):
    # The first iteration of a warm-up has the rate 0; the second one has all the damage.
    run, folder = begin(forge, learning_rate=1e30, warmup_steps=4, save_every=1, max_grad_norm=None)
    wait_for_end(folder)
    assert state(folder) is RunState.FAILED
    found = failure(folder)
    assert found["code"] == "DIVERGED"
    assert "learning_rate" in found["suggestion"]
    (kept,) = read_checkpoints(folder)
    assert (kept.iteration, kept.problem, kept.rank) == (1, None, 1)
    assert violations(folder) == []
    assert runs.status(forge, run).progress.iteration < 10


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGSEGV, "pause"])
def test_a_run_that_ended_early_goes_on_exactly_where_it_was(forge, forgellm, undisturbed, way):
    run, folder = begin(forge)
    reach(folder, 21)
    if way == "pause":
        with standing_still(folder):
            assert forgellm("runs", "pause", run.id).returncode == 0
    else:
        end_by(folder, way)
    crashed = way == signal.SIGSEGV
    assert state(folder) is (RunState.FAILED if crashed else RunState.PAUSED)
    if crashed:
        assert failure(folder)["code"] == "OUT_OF_MEMORY"
        assert "(signal 11)" in failure(folder)["error"]
    assert iterations(folder) == [20]
    assert go_on(forge, run) is RunState.COMPLETED
    resumed = next(e for e in read_events(folder) if e["type"] == "resumed")
    assert (resumed["iteration"] == 20) is crashed
    assert differences(undisturbed(), folder) == []
    assert violations(folder) == []


def test_a_stopped_run_has_a_checkpoint_of_where_it_was_and_can_still_go_on(forge, forgellm, undisturbed):
    run, folder = begin(forge)
    reach(folder, 21)
    with standing_still(folder):
        assert forgellm("runs", "stop", run.id).returncode == 0
    assert state(folder) is RunState.STOPPED
    assert max(iterations(folder)) == runs.status(forge, run).progress.iteration >= 21
    assert violations(folder) == []
    assert go_on(forge, run) is RunState.COMPLETED
    training_loss = series(read_events(folder), "training_loss")
    assert training_loss == series(read_events(undisturbed()), "training_loss")


@pytest.mark.parametrize(
    ("what", "limit"), [("checkpoint", 60_000), ("state", 250_000)], ids=["checkpoint", "state"]
)
def test_a_disk_that_fills_up_during_a_save_costs_nothing_older(forge, forgellm, undisturbed, what, limit):
    run, folder = begin(forge)
    reach(folder, 21)
    end_by(folder, signal.SIGTERM)
    assert state(folder) is RunState.PAUSED
    failed = forgellm("runs", "resume", run.id, FSIZE=limit)
    assert failed.returncode == 1
    assert "(DISK_FULL)" in failed.stderr
    found = failure(folder)
    assert found["code"] == "DISK_FULL"
    assert found["suggestion"]
    assert [path.name for path in folder.rglob(f"{PARTIAL}*")] == []
    assert iterations(folder) == ([20, 40] if what == "state" else [20])
    assert all(c.problem is None for c in read_checkpoints(folder))
    assert violations(folder) == []
    assert go_on(forge, run) is RunState.COMPLETED
    assert differences(undisturbed(), folder) == []


def test_a_disk_that_has_no_room_for_an_event_ends_the_run_and_costs_nothing_older(
    forge, forgellm, undisturbed
):
    run, folder = begin(forge, **SMALL)
    reach(folder, 21)
    end_by(folder, signal.SIGTERM)
    room = events_path(folder).stat().st_size + 2500
    assert room > max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    forgellm("runs", "resume", run.id, "--detach", FSIZE=room)
    wait_for_end(folder)
    assert state(folder) in (RunState.INTERRUPTED, RunState.FAILED)
    assert "events.jsonl could not be written" in runs.log(forge, run)
    assert (iterations(folder), violations(folder)) == ([20], [])
    assert go_on(forge, run) is RunState.COMPLETED
    assert differences(undisturbed(**SMALL), folder) == []
    assert violations(folder) == []


def test_lines_that_are_no_events_change_nothing(forge, forgellm, undisturbed):
    run, folder = begin(forge)
    reach(folder, 21)
    end_by(folder, signal.SIGTERM)
    events = events_path(folder)
    lines = events.read_bytes().splitlines(keepends=True)
    garbage = [b"\x00\xff not an event\n", b'{"seq": "one"}\n', b"[1, 2]\n"]
    events.write_bytes(b"".join([*lines[:10], *garbage, *lines[10:], b'{"seq": 999, "type": "compl']))
    shown = json.loads(forgellm("runs", "show", run.id, "--json").stdout)
    assert (shown["state"], shown["iteration"]) == ("paused", runs.status(forge, run).progress.iteration)
    assert go_on(forge, run) is RunState.COMPLETED
    assert differences(undisturbed(), folder) == []
    assert read_json_lines(events).bad == 3
    numbers = [event["seq"] for event in read_events(folder)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_out_of_memory_ends_one_run_only_and_the_next_one_starts(forge, forgellm):
    long = "\n\n".join(f"Bale {n} of the wool was weighed, and bale {n + 1} was not." for n in range(8000))
    (forge.workspace.datasets / "long").mkdir()
    (forge.workspace.datasets / "long" / "wool.md").write_text(long)
    big = {"dataset": "long", "max_seq_length": 512, "batch_size": 512, "validation_tokens": 64}
    fields = {**SPEC, **big}
    options = [part for name, value in fields.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    started = forgellm("train", *options, "--detach", AS=3_000_000_000)
    assert started.returncode == 0, started.stderr
    (starved,) = list_runs(forge.workspace)
    next_run = training.start(forge, {**SPEC, "max_iterations": 4}, queue=True)
    folder = run_folder(forge.workspace, starved)
    wait_for_end(folder)
    assert state(folder) is RunState.FAILED, runs.log(forge, starved)
    assert failure(folder)["code"] == "OUT_OF_MEMORY"
    assert "batch_size" in failure(folder)["suggestion"]
    launcher.launch_next(forge.workspace, environment=forge.environment)
    wait_for_event(run_folder(forge.workspace, next_run), "completed")


def test_three_queued_runs_go_to_their_end_with_nobody_watching(forge, forgellm):
    short = ["--model-name", "models/base/tiny", "--max-iterations", "4", "--max-seq-length", "64"]
    for kind, dataset in (("cpt", "domain"), ("ift", "questions"), ("cpt", "general")):
        queued = forgellm(
            "train", *short, "--training-type", kind, "--dataset", dataset, "--queue", "--detach"
        )
        assert queued.returncode == 0, queued.stderr
    folders = [run_folder(forge.workspace, run) for run in list_runs(forge.workspace)]
    times = [wait_for_event(folder, "completed")["time"] for folder in folders]
    assert len(times) == 3
    assert times == sorted(times)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewrite(path: Path, change) -> None:
    """Change the weights and sign the result, as a tool that knew the format could."""
    weights = change(dict(mx.load(str(path))))
    mx.save_safetensors(str(path), weights)
    side = path.with_suffix(".json")
    signed = {"sha256": sha256_of(path), "size_bytes": path.stat().st_size}
    side.write_text(json.dumps({**json.loads(side.read_text()), **signed}))


def spoil(weights):
    name = min(weights)
    return {**weights, name: mx.full(weights[name].shape, float("nan"))}


def rename(weights):
    return {f"foreign.{name}": value for name, value in weights.items()}


SEEN = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "flipped": flip,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "nan": lambda path: mx.save_safetensors(str(path), spoil(dict(mx.load(str(path))))),
    "foreign": lambda path: mx.save_safetensors(str(path), rename(dict(mx.load(str(path))))),
}
SIGNED = {"nan": spoil, "foreign": rename}


@pytest.fixture
def trained(finished):
    """A finished run with checkpoints at 2, 4 and 6, the last of them the best."""
    run, folder = finished(max_iterations=6, save_every=2, warmup_steps=0)
    assert read_checkpoints(folder)[0].iteration == 6
    return run, folder


def test_damaged_checkpoints_are_listed_never_ranked_and_refused(forge, forgellm, trained):
    run, folder = trained
    original = checkpoint_path(folder, 6).read_bytes()
    for name, damage in SEEN.items():
        checkpoint_path(folder, 6).write_bytes(original)
        damage(checkpoint_path(folder, 6))
        listed = json.loads(forgellm("checkpoints", run.id, "--json").stdout)["checkpoints"]
        assert [c["iteration"] for c in listed if c["rank"]] == [4, 2], name
        assert listed[-1]["problem"], name
        refused = forgellm("publish", run.id, "--iteration", "6")
        assert (refused.returncode, "cannot be used" in refused.stderr) == (2, True), name
    assert [r.kind.value for r in list_runs(forge.workspace)] == ["cpt"]


@pytest.mark.parametrize("damage", SIGNED)
def test_a_checkpoint_that_was_signed_after_the_damage_is_never_put_to_use(forge, forgellm, trained, damage):
    run, folder = trained
    path = checkpoint_path(folder, 6)
    rewrite(path, SIGNED[damage])
    published = forgellm("publish", run.id, "--iteration", "6")
    assert published.returncode != 0
    continued = forgellm(
        *("train", "--model-name", "models/base/tiny", "--training-type", "cpt", "--dataset", "domain"),
        *("--start-from", f"{run.folder}/{path.name}", "--max-iterations", "2"),
    )
    assert continued.returncode != 0
    ended = [failure(run_folder(forge.workspace, r)) for r in list_runs(forge.workspace)[1:]]
    assert [end["code"] for end in ended] == ["INVALID_ADAPTER", "INVALID_ADAPTER"]
    assert not any(forge.workspace.published.glob("*"))
