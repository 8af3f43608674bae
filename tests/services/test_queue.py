"""The queue: its order is what people made it, and outlives whoever is killed while moving."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import InvalidField, RunConflict
from forgellm.domain.runs import RunState
from forgellm.jobs.launcher import launch_next
from forgellm.services import queue
from forgellm.services.current import current
from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.liveness import state
from forgellm.storage.runs import run_folder
from tests.jobs.sample_worker import COMMAND, wait_for_end
from tests.storage.folders import RunKind, new_run, noon


@pytest.fixture
def four(forge):
    """Runs that wait, because something else trains."""
    forge.workspace.private.mkdir(exist_ok=True)
    training = HeldLock.acquire(forge.workspace.training_lock)
    assert training is not None
    yield [new_run(forge.workspace, spec={"act": "finish"}) for _ in range(4)]
    training.release()


def numbers(runs):
    return [run.number for run in runs]


def test_runs_wait_in_the_order_they_came_until_one_is_moved(forge, four):
    first, second, third, fourth = four
    assert numbers(queue.waiting(forge)) == [1, 2, 3, 4]
    assert numbers(queue.move(forge, fourth)) == [4, 1, 2, 3]
    assert numbers(queue.move(forge, first, after=second)) == [4, 2, 1, 3]
    assert numbers(queue.move(forge, third, before=second)) == [4, 3, 2, 1]
    later = new_run(forge.workspace)
    assert numbers(queue.waiting(forge)) == [4, 3, 2, 1, later.number]
    assert queue.place_of(fourth, queue.waiting(forge)) == f"Run {fourth.id} is next"
    assert current(forge) == fourth


def test_what_does_not_wait_is_neither_moved_nor_a_place_to_move_to(forge, four):
    first, second, *_ = four
    EventLog(run_folder(forge.workspace, first), noon).append("stopped")
    for wrong in ({"run": first}, {"run": second, "before": first}, {"run": second, "after": first}):
        with pytest.raises(RunConflict, match=first.id):
            queue.move(forge, **wrong)
    for others in ({"before": second}, {"before": first, "after": four[2]}):
        with pytest.raises(InvalidField):
            queue.move(forge, second, **others)
    assert numbers(queue.waiting(forge)) == [2, 3, 4]


@pytest.mark.parametrize("text", ["", "{", "[[1], null, 7]", '{"a": 1}', "[" * 100_000])
def test_an_order_that_cannot_be_read_is_none(forge, four, text):
    queue.move(forge, four[3])
    (forge.workspace.private / "queue.json").write_text(text)
    assert numbers(queue.waiting(forge)) == [1, 2, 3, 4]
    assert numbers(queue.move(forge, four[1])) == [2, 1, 3, 4]


def test_the_run_that_was_moved_to_the_front_is_the_one_that_starts(forge, worker_environment):
    options = {"environment": worker_environment, "command": COMMAND}
    forge.workspace.private.mkdir(exist_ok=True)
    waits, chosen = (new_run(forge.workspace, RunKind.CPT, spec={"act": "finish"}) for _ in range(2))
    queue.move(forge, chosen)
    assert launch_next(forge.workspace, **options) == chosen
    for run in (chosen, waits):
        # Whoever ends starts the next one.
        wait_for_end(run_folder(forge.workspace, run))
    assert state(run_folder(forge.workspace, chosen)) is RunState.COMPLETED
