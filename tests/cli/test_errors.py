import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from forgellm.cli.errors import describe, shown
from forgellm.cli.main import main
from forgellm.domain.errors import DiskFull, InvalidDataset, InvalidModel, RunConflict


def problem(line: int | None) -> dict[str, object]:
    return {"file": "notes/train.jsonl", "line": line, "reason": "is not JSON", "suggestion": ""}


def test_rows_are_listed_with_file_line_and_reason():
    lines = describe(
        "bad", details={"problems": [problem(3), problem(None)], "count": 2}, suggestion="Mend them."
    )
    assert lines == [
        "Error: bad",
        "  notes/train.jsonl:3: is not JSON",
        "  notes/train.jsonl: is not JSON",
        "What to do: Mend them.",
    ]


def test_of_many_rows_twenty_are_listed_and_the_others_counted():
    lines = describe(
        "bad", details={"problems": [problem(n) for n in range(100)], "count": 250}, suggestion=""
    )
    assert len(lines) == 22
    assert lines[-1] == "  ... and 230 more"


@pytest.mark.parametrize(
    ("error", "code"),
    [(InvalidDataset("x"), 2), (RunConflict("x"), 2), (InvalidModel("x"), 2), (DiskFull("x"), 1)],
)
def test_the_exit_code_tells_a_wrong_request_from_a_failing_machine(error, code):
    assert shown(error).exit_code == code


def test_a_workspace_that_is_no_folder_is_named(tmp_path):
    done = CliRunner().invoke(main, ["--workspace", str(tmp_path / "nowhere"), "runs"])
    assert done.exit_code == 2
    assert str(tmp_path / "nowhere") in done.stderr
    assert "What to do:" in done.stderr


def test_the_environment_names_the_workspace(tmp_path):
    done = CliRunner().invoke(main, ["runs"], env={"FORGELLM_WORKSPACE": str(tmp_path)})
    assert (done.exit_code, done.stdout) == (0, "No runs. `forgellm train` starts one.\n")


@pytest.mark.parametrize(("value", "colour"), [("1", False), ("", None)])
def test_nothing_is_coloured_where_nobody_wants_colours(monkeypatch, value, colour):
    monkeypatch.setenv("NO_COLOR", value)
    with main.make_context("forgellm", ["runs"]) as context:
        context.invoke(main.callback, workspace=None)
        assert context.color is colour


def test_a_shell_completes_the_commands_of_a_group_that_lists_by_default():
    completion = ShellComplete(main, {}, "forgellm", "_FORGELLM_COMPLETE")
    assert [item.value for item in completion.get_completions(["runs"], "re")] == ["restore", "resume"]
