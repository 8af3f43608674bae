import json
import os
import shutil
import signal
import threading

import pytest

from forgellm.domain.errors import (
    DatasetNotFound,
    DiskFull,
    ForgeError,
    InvalidAdapter,
    InvalidDataset,
    InvalidField,
    InvalidModel,
    InvalidPath,
    ModelNotFound,
    ReadOnly,
    RunConflict,
)
from forgellm.domain.runs import RunState
from forgellm.services import runs, training
from forgellm.services.space import check_space
from forgellm.storage.liveness import is_alive
from tests.services.conftest import wait_for, wait_until


def refused(forge, values: dict[str, object]) -> ForgeError:
    """The error of a start, which left nothing behind."""
    with pytest.raises(ForgeError) as caught:
        training.start(forge, values)
    assert runs.statuses(forge) == []
    assert not (forge.workspace.models / "cpt").exists()
    return caught.value


def kill(forge, run) -> None:
    """Ends the run's worker as the kernel would when memory runs out, and waits for it to be gone."""
    folder = forge.workspace.root / run.folder
    os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
    while is_alive(folder):
        os.sched_yield()


def test_a_large_dataset_is_read_by_another_process_and_only_once(forge, short_run):
    folder = forge.workspace.datasets / "large"
    folder.mkdir()
    row = json.dumps({"prompt": "Word " * 200_000, "completion": "Yes."}) + "\n"
    (folder / "train.jsonl").write_text(row * 17 + '{"prompt": "And?"}\n')
    wish = {**short_run, "training_type": "ift", "dataset": "large"}
    try:
        first = refused(forge, wish)
    finally:
        forge.inspections.close()
    assert isinstance(first, InvalidDataset)
    assert "large/train.jsonl, line 18: 'completion' is missing" in first.message
    [known] = (forge.workspace.private / "inspections").iterdir()
    before = known.stat().st_mtime_ns
    assert refused(forge, wish).details == first.details
    assert known.stat().st_mtime_ns == before


def test_an_unknown_field_is_refused_with_the_nearest_known_one(forge, short_run):
    error = refused(forge, {**short_run, "lora_rnk": 8})
    assert isinstance(error, InvalidField)
    assert error.details["nearest"] == "lora_rank"


def test_a_value_out_of_bounds_is_refused_with_what_is_typical(forge, short_run):
    error = refused(forge, {**short_run, "lora_rank": 0})
    assert isinstance(error, InvalidField)
    assert "Typical: 8 to 64" in error.suggestion


def test_more_tokens_than_the_models_context_are_refused(forge, short_run):
    error = refused(forge, {**short_run, "max_seq_length": 4096})
    assert isinstance(error, InvalidField)
    assert error.details == {"field": "max_seq_length", "context": 512}


def test_a_missing_model_is_refused_with_the_nearest_one_there_is(forge, short_run):
    error = refused(forge, {**short_run, "model_name": "models/base/tinny"})
    assert isinstance(error, ModelNotFound)
    assert "models/base/tiny" in error.suggestion


def test_a_model_without_tokenizer_is_refused(forge, short_run):
    (forge.workspace.base_models / "tiny" / "tokenizer.json").unlink()
    error = refused(forge, short_run)
    assert isinstance(error, InvalidModel)
    assert "tokenizer.json" in error.message


def test_a_missing_dataset_is_refused_with_the_nearest_one_there_is(forge, short_run):
    error = refused(forge, {**short_run, "dataset": "domian"})
    assert isinstance(error, DatasetNotFound)
    assert "domain" in error.suggestion


def test_a_missing_general_dataset_is_refused(forge, short_run):
    assert isinstance(refused(forge, {**short_run, "general_dataset": "nothing"}), DatasetNotFound)


def test_a_bad_row_is_refused_with_file_line_and_reason(forge, short_run):
    rows = forge.workspace.datasets / "questions" / "train.jsonl"
    rows.write_text(rows.read_text() + '{"prompt": "Where?"}\n')
    error = refused(forge, {**short_run, "training_type": "ift", "dataset": "questions"})
    assert isinstance(error, InvalidDataset)
    (problem,) = error.details["problems"]
    assert (problem["file"], problem["line"]) == ("questions/train.jsonl", 41)
    assert problem["reason"]


def test_an_adapter_that_is_not_there_is_refused(forge, short_run):
    error = refused(forge, {**short_run, "start_from": "models/base/tiny"})
    assert isinstance(error, InvalidAdapter)
    assert "no adapters.safetensors" in error.message


def test_an_adapter_outside_the_workspace_is_refused(forge, short_run):
    assert isinstance(refused(forge, {**short_run, "start_from": "../elsewhere"}), InvalidPath)


def test_a_folder_that_cannot_be_written_to_is_refused_and_named(forge, short_run):
    forge.workspace.private.write_text("a file where a folder belongs")
    error = refused(forge, short_run)
    assert isinstance(error, ReadOnly)
    assert str(forge.workspace.private) in error.message


def test_a_disk_without_room_for_a_full_fine_tune_is_refused(forge, tmp_path):
    with open(tmp_path / "model.safetensors", "wb") as weights:
        # A sparse file: it takes no room itself.
        weights.truncate(4 * 2**40)
    with pytest.raises(DiskFull, match="are free, and this run needs at least"):
        check_space(forge.workspace, base=tmp_path, fine_tune_type="full")
    check_space(forge.workspace, base=tmp_path, fine_tune_type="lora")


def test_a_disk_without_room_for_the_tokens_of_the_data_is_refused(forge, tmp_path):
    folder = tmp_path / "huge"
    (folder / "valid").mkdir(parents=True)
    for file in ("book.pdf", "valid/rows.jsonl"):
        with open(folder / file, "wb") as rows:
            rows.truncate(4 * 2**40)
        if file == "book.pdf":
            check_space(forge.workspace, base=tmp_path, fine_tune_type="lora", datasets=[folder])
    with pytest.raises(DiskFull, match="needs at least"):
        check_space(forge.workspace, base=tmp_path, fine_tune_type="lora", datasets=[folder])


def test_a_run_keeps_its_spec_versions_and_base_and_ends_completed(forge, short_run, launched):
    run = training.start(forge, short_run)
    launched.append(run)
    assert wait_for(forge, run)[-1] == "completed"
    manifest = json.loads((forge.workspace.root / run.folder / "run.json").read_text())
    assert manifest["spec"]["max_iterations"] == 4
    assert {"forgellm", "mlx", "mlx-lm", "python", "platform"} <= set(manifest["versions"])
    assert manifest["base_fingerprint"]
    status = runs.status(forge, run, verify=True)
    assert (status.state, status.progress.iteration, status.progress.fraction) == (RunState.COMPLETED, 4, 1.0)
    assert [c.rank for c in status.checkpoints] == [1, 2]


def test_of_starts_at_once_exactly_one_wins_and_the_others_leave_nothing(forge, short_run, launched):
    outcomes, gate = [], threading.Barrier(8)

    def start() -> None:
        gate.wait()
        try:
            outcomes.append(training.start(forge, {**short_run, "max_iterations": 100_000}))
        except RunConflict as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refusals = [o for o in outcomes if isinstance(o, RunConflict)]
    launched += [o for o in outcomes if not isinstance(o, RunConflict)]
    assert (len(launched), len(refusals)) == (1, 7)
    assert all(r.details["run"] == launched[0].id and "--queue" in r.suggestion for r in refusals)
    assert [s.run.id for s in runs.statuses(forge)] == [launched[0].id]


def test_a_start_sets_a_queue_going_that_a_killed_worker_left_standing(forge, short_run, launched):
    first = training.start(forge, {**short_run, "max_iterations": 100_000})
    second = training.start(forge, short_run, queue=True)
    launched += [first, second]
    wait_until(forge, first, "train")
    kill(forge, first)
    with pytest.raises(RunConflict, match=second.id):
        training.start(forge, short_run)
    assert runs.status(forge, second).state is not RunState.PENDING


def test_a_queued_run_starts_when_the_one_before_it_is_killed(forge, short_run, launched):
    first = training.start(forge, {**short_run, "max_iterations": 100_000})
    second = training.start(forge, short_run, queue=True)
    launched += [first, second]
    assert runs.status(forge, second).state is RunState.PENDING
    wait_until(forge, first, "train")
    kill(forge, first)
    assert wait_for(forge, second)[-1] == "completed"
    assert runs.status(forge, first).state is RunState.INTERRUPTED


def test_a_run_that_starts_from_a_checkpoint_begins_where_its_loss_was(forge, short_run, launched):
    first = training.start(forge, {**short_run, "lora_rank": 4, "learning_rate": 1e-2})
    launched.append(first)
    wait_for(forge, first)
    best = runs.checkpoints(forge, first)[0]
    second = training.start(forge, {**short_run, "start_from": best.path})
    launched.append(second)
    wait_for(forge, second)
    assert second.spec["lora_rank"] == 4
    measured = [e for e in runs.events(forge, second) if e["type"] == "validation"]
    assert (measured[0]["iteration"], measured[0]["validation_loss"]) == (0, best.validation_loss)


def test_an_adapter_of_another_form_than_was_asked_for_is_refused(forge, short_run, launched):
    first = training.start(forge, {**short_run, "lora_rank": 4})
    launched.append(first)
    wait_for(forge, first)
    with pytest.raises(InvalidAdapter, match="lora_rank 4, the spec 8") as caught:
        training.start(forge, {**short_run, "start_from": first.folder, "lora_rank": 8})
    assert "Leave lora_rank out" in caught.value.suggestion


def test_a_mixture_without_general_data_gets_the_samples(forge, short_run, launched):
    mixture = {**short_run, "data_mixture_ratio": 0.8, "max_iterations": 1, "save_every": 1}
    shutil.rmtree(forge.workspace.datasets / "general")
    run = training.start(forge, mixture)
    launched.append(run)
    assert run.spec["general_dataset"] == "everyday"
    assert (forge.workspace.datasets / "everyday").is_dir()
    wait_for(forge, run)


def test_general_data_that_is_named_and_missing_is_not_replaced(forge, short_run):
    error = refused(forge, {**short_run, "data_mixture_ratio": 0.8, "general_dataset": "gneral"})
    assert isinstance(error, DatasetNotFound)
    assert error.details["nearest"] == "general"
    assert not (forge.workspace.datasets / "everyday").exists()
