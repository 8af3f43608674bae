"""Numbers that runs and registered models share."""

from __future__ import annotations

from forgellm.storage.registered import Registered, write_registered
from tests.storage.folders import NOON, new_run


def test_a_lost_counter_gives_no_run_the_number_of_a_registered_model(workspace):
    known = Registered(
        number=7, name="Mine", base_model="tiny", description="", model_size=None, created=NOON
    )
    write_registered(workspace, known)
    assert new_run(workspace).number == 8
    (workspace.private / "counter").unlink()
    assert new_run(workspace).number == 9
