import os

from forgellm.services import system
from forgellm.services.system import Fact
from forgellm.settings import Settings, worker_environment
from forgellm.storage.events import events_path
from forgellm.storage.runs import run_folder
from tests.storage.folders import new_run


def facts(settings, **environment) -> dict[str, Fact]:
    return {fact.name: fact for fact in system.doctor(settings, {**worker_environment(), **environment})}


def test_a_working_machine_has_no_problem_and_its_figures_are_measured(settings, workspace):
    found = facts(settings)
    assert system.as_values(list(found.values()))["works"] is True
    assert found["device"].value in ("Device(cpu, 0)", "Device(gpu, 0)")
    assert found["speed"].value.endswith("GFLOP/s")
    assert found["base models"].note == "models/base/tiny"
    assert found["datasets"].value == "domain, general, questions"
    assert found["runs"] == Fact("runs", "0")
    assert not workspace.private.exists()


def test_what_cannot_be_measured_is_said_with_its_reason(settings, tmp_path):
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").write_text(
        "raise ImportError('libmlx.so: cannot open shared object file')"
    )
    found = facts(settings, PYTHONPATH=str(tmp_path))
    assert found["device"].value is None
    assert "libmlx.so: cannot open shared object file" in found["device"].note
    assert found["speed"].value is None
    assert system.as_values(list(found.values()))["works"] is False


def test_a_folder_that_cannot_be_written_to_is_a_problem(settings, workspace):
    workspace.private.write_text("a file where a folder belongs")
    fact = facts(settings)[".forgellm/"]
    assert fact.level == "problem"
    assert str(workspace.private) in fact.note


def test_a_missing_workspace_is_a_problem(tmp_path):
    found = facts(Settings(workspace=tmp_path / "nowhere", hub_cache=tmp_path))
    assert found["workspace"].level == "problem"


def test_runs_that_cannot_be_read_are_named_and_stop_nothing(settings, workspace):
    good, mute, damaged = (
        run_folder(workspace, new_run(workspace, name=n)) for n in ("good", "mute", "damaged")
    )
    events_path(mute).mkdir()
    (damaged / "run.json").write_bytes(b"\xff{")
    os.symlink(good, good.with_name("link"))
    fact = facts(settings)["runs"]
    assert (fact.value, fact.level) == ("2", "advice")
    assert fact.note == "cannot be read: models/cpt/damaged/run.json, models/cpt/mute/events.jsonl"
