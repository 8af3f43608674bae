"""Creating, listing, finding, trashing and restoring runs."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from forgellm.domain.errors import ForgeError, InvalidPath, ReadOnly, RunConflict, RunNotFound
from forgellm.domain.runs import RunKind, RunState
from forgellm.storage.events import read_events
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import is_alive, lock_path, state
from forgellm.storage.runs import (
    find_run,
    list_runs,
    move_to_trash,
    read_run,
    restore_from_trash,
    run_folder,
    workspace_of,
)
from forgellm.storage.workspace import Workspace
from tests.storage.folders import NOON, new_run
from tests.storage.test_files import without_permission


@pytest.fixture
def place(tmp_path):
    return Workspace.open(tmp_path)


def test_a_new_run_is_pending_in_a_folder_of_its_own(place):
    run = new_run(place, name="tiny_lr5e_05", spec={"dataset": "ü", "keys": ["a"]})
    assert run.folder == "models/cpt/tiny_lr5e_05"
    assert (run.id, run.number) == ("cpt_20250115_120000", 1)
    assert state(run_folder(place, run)) is RunState.PENDING
    assert list_runs(place) == [run]
    assert workspace_of(run_folder(place, run)) == place


def test_a_run_that_does_not_train_lies_among_the_others_under_its_id(place):
    run = new_run(place, RunKind.PUBLISH)
    assert run.folder == "models/runs/publish_20250115_120000"
    assert list_runs(place) == [run]


def test_a_folder_name_that_is_taken_gets_a_suffix(place):
    folders = [new_run(place, name="same").folder for _ in range(3)]
    assert folders == ["models/cpt/same", "models/cpt/same_2", "models/cpt/same_3"]


def test_runs_created_at_once_have_ids_numbers_and_folders_of_their_own(place):
    kinds = [*RunKind] * 7
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(lambda kind: new_run(place, kind, name="same"), kinds))
    assert len({run.id for run in runs}) == len({run.folder for run in runs}) == len(kinds)
    assert sorted(run.number for run in runs) == list(range(1, len(kinds) + 1))
    assert [run.number for run in list_runs(place)] == list(range(1, len(kinds) + 1))


def test_a_clock_that_jumps_back_gives_no_id_or_number_twice(place):
    first = new_run(place)
    second = new_run(place, created=NOON + timedelta(seconds=1))
    again = new_run(place, created=NOON)
    assert again.id == first.id + "_2"
    assert [run.id for run in list_runs(place)] == [first.id, second.id, again.id]


def test_an_id_in_the_trash_is_not_given_again(place):
    first = new_run(place)
    move_to_trash(place, first)
    second = new_run(place)
    assert (second.id, second.number) == (first.id + "_2", 2)


def test_a_lost_counter_does_not_repeat_a_number(place):
    runs = [new_run(place) for _ in range(3)]
    shutil.rmtree(place.private)
    assert new_run(place).number == runs[-1].number + 1


def test_what_is_no_run_is_left_out_of_the_list(place):
    run = new_run(place, name="good")
    (place.models / "cpt" / "without-manifest").mkdir()
    (place.models / "cpt" / "a-file").touch()
    manifest = (run_folder(place, run) / "run.json").read_text()
    wrong = {
        "half": manifest[:40],
        "array": "[]",
        "kind": manifest.replace('"cpt"', '"bake"'),
        "number": manifest.replace('"number": 1', '"number": "1"'),
        "number-0": manifest.replace('"number": 1', '"number": 0'),
        "number-huge": manifest.replace('"number": 1', '"number": 1' + "0" * 400),
        "created": manifest.replace("2025-01-15", "2025-15-01"),
        "created-first": manifest.replace(run.created.isoformat(), "0001-01-01T00:00:00+14:00"),
        "created-last": manifest.replace(run.created.isoformat(), "9999-12-31T23:59:59-14:00"),
        "id-path": manifest.replace(run.id, "../../../../elsewhere"),
        "id-lines": manifest.replace(run.id, "a\\nb"),
        "id-empty": manifest.replace(run.id, ""),
        "deep": "[" * 50_000,
    }
    for name, text in wrong.items():
        (place.models / "cpt" / name).mkdir()
        (place.models / "cpt" / name / "run.json").write_text(text)
    assert list_runs(place) == [run]


def test_a_version_is_a_text_whatever_a_manifest_says(place):
    run = new_run(place)
    path = run_folder(place, run) / "run.json"
    path.write_text(path.read_text().replace('"0.32.4"', "0.32"))
    assert list_runs(place)[0].versions == {"mlx": "0.32"}


def test_a_link_to_a_run_elsewhere_is_left_out_of_the_list(place, tmp_path_factory):
    elsewhere = Workspace.open(tmp_path_factory.mktemp("elsewhere"))
    other = new_run(elsewhere)
    run = new_run(place)
    (place.models / "cpt" / "link").symlink_to(run_folder(elsewhere, other))
    assert list_runs(place) == [run]


def test_a_thousand_runs_are_listed_in_no_time(place):
    run = new_run(place, name="run")
    manifest = json.loads((run_folder(place, run) / "run.json").read_text())
    for n in range(2, 1001):
        folder = place.models / "cpt" / f"run_{n}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({**manifest, "id": f"cpt_{n}", "number": n}))
    started = time.thread_time()
    runs = list_runs(place)
    # 0.03 s on an idle machine.
    assert time.thread_time() - started < 1.0
    assert [r.number for r in runs] == list(range(1, 1001))


def test_a_run_is_found_by_id_number_folder_and_folder_name(place):
    new_run(place, name="other")
    run = new_run(place, RunKind.IFT, name="mine")
    keys = [run.id, "2", "mine", "models/ift/mine", "models/ift/mine/", str(run_folder(place, run))]
    assert [find_run(place, key) for key in keys] == [run] * len(keys)


def test_a_run_that_is_not_there_is_named_with_the_nearest_one(place):
    run = new_run(place, name="Qwen3_4B_lr5e_05")
    with pytest.raises(RunNotFound) as caught:
        find_run(place, "Qwen3_4B_lr5e_06")
    assert "Qwen3_4B_lr5e_06" in caught.value.message
    assert "Qwen3_4B_lr5e_05" in caught.value.suggestion
    for key in ("", "0", "-1", "99", run.id + "x", "\0", "x" * 5000):
        with pytest.raises(RunNotFound):
            find_run(place, key)


def test_a_key_never_leads_outside_the_workspace(place):
    for key in ("../../etc", "/etc/passwd", "models/../.."):
        with pytest.raises(InvalidPath):
            find_run(place, key)


def test_a_folder_name_that_several_runs_have_is_not_guessed(place):
    runs = [new_run(place, kind, name="same") for kind in (RunKind.CPT, RunKind.IFT)]
    with pytest.raises(RunNotFound) as caught:
        find_run(place, "same")
    assert all(run.folder in caught.value.suggestion for run in runs)


def test_a_renamed_folder_is_still_the_same_run(place):
    run = new_run(place, name="before")
    run_folder(place, run).rename(place.models / "cpt" / "after")
    found = find_run(place, run.id)
    assert found.folder == "models/cpt/after"
    assert (found.number, found.spec) == (run.number, run.spec)


def test_a_workspace_that_cannot_be_written_to_gets_no_half_a_run(place):
    new_run(place)
    with without_permission(place.models / "cpt"), pytest.raises(ReadOnly):
        new_run(place, name="second")
    assert [path.name for path in (place.models / "cpt").iterdir()] == ["cpt_20250115_120000"]


def test_a_run_goes_to_the_trash_and_comes_back_as_it_was(place):
    run = new_run(place, name="mine")
    (run_folder(place, run) / "corpus").mkdir()
    (run_folder(place, run) / "corpus" / "tokens.npy").write_bytes(b"tokens")
    move_to_trash(place, run)
    assert list_runs(place) == []
    assert not run_folder(place, run).exists()
    assert restore_from_trash(place, run.id) == run
    assert list_runs(place) == [run]
    assert (run_folder(place, run) / "corpus" / "tokens.npy").read_bytes() == b"tokens"
    assert not place.trash.exists()


def test_a_restored_run_does_not_replace_the_one_that_took_its_place(place):
    first = new_run(place, name="same")
    move_to_trash(place, first)
    second = new_run(place, name="same")
    restored = restore_from_trash(place, first.id)
    assert restored.folder == "models/cpt/same_2"
    assert {run.id for run in list_runs(place)} == {first.id, second.id}


def test_a_live_run_is_not_thrown_away(place):
    run = new_run(place)
    lock = HeldLock.acquire(lock_path(run_folder(place, run)))
    assert lock is not None
    with pytest.raises(RunConflict) as caught:
        move_to_trash(place, run)
    assert run.id in caught.value.suggestion
    assert list_runs(place) == [run]
    lock.release()


def test_a_run_is_thrown_away_once(place):
    run = new_run(place)
    move_to_trash(place, run)
    with pytest.raises(RunNotFound):
        move_to_trash(place, run)


@pytest.mark.parametrize("identity", ["", ".", "..", "../..", "/etc", "a/b", "x" * 129, "a\0"])
def test_the_trash_is_opened_by_id_and_never_by_path(place, identity):
    with pytest.raises(InvalidPath):
        restore_from_trash(place, identity)


def test_what_was_never_thrown_away_cannot_be_restored(place):
    with pytest.raises(RunNotFound):
        restore_from_trash(place, "cpt_20250115_120000")


def refused(action):
    """The kind of the error that `action` raises, or None."""
    try:
        action()
    except ForgeError as error:
        return type(error)
    return None


def test_of_those_who_throw_a_run_away_at_once_one_does(place):
    for _ in range(20):
        run = new_run(place, name="same")
        with ThreadPoolExecutor(4) as threads:
            ends = list(threads.map(lambda _, run=run: refused(lambda: move_to_trash(place, run)), range(4)))
        assert sorted(ends, key=str) == [RunNotFound] * 3 + [None]


def test_of_those_who_restore_a_run_at_once_one_does_and_nothing_is_left_over(place):
    for _ in range(20):
        run = new_run(place, name="same")
        move_to_trash(place, run)
        with ThreadPoolExecutor(4) as threads:
            ends = list(
                threads.map(lambda _, run=run: refused(lambda: restore_from_trash(place, run.id)), range(4))
            )
        assert sorted(ends, key=str) == [RunNotFound] * 3 + [None]
        assert [path.name for path in (place.models / "cpt").iterdir()] == ["same"]
        assert not place.trash.exists()
        shutil.rmtree(run_folder(place, run))


def test_a_copy_of_a_run_is_thrown_away_beside_the_one_that_lay_there(place):
    run = new_run(place, name="first")
    folder = run_folder(place, run)
    shutil.copytree(folder, place.root / "copy")
    move_to_trash(place, run)
    shutil.copytree(place.root / "copy", folder)
    move_to_trash(place, run)
    assert list_runs(place) == []
    restored = {restore_from_trash(place, run.id).folder for _ in range(2)}
    assert restored == {"models/cpt/first", "models/cpt/first_2"}


def test_a_folder_without_a_manifest_has_no_run(tmp_path):
    assert read_run(tmp_path) is None


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(place):
    run = new_run(place)
    folder = run_folder(place, run)
    for name in ("events.jsonl", "lock"):
        os.mkfifo(folder / name)
    with pytest.raises(ForgeError, match="it is a pipe"):
        read_events(folder)
    assert is_alive(folder) is False
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")
    assert list_runs(place) == []
