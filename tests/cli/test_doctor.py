import json


def test_a_working_machine_is_described_and_the_command_ends_with_0(forgellm):
    done = forgellm("doctor")
    assert done.returncode == 0, done.stdout
    for name in ("mlx", "device", "BLAS", "C++ compiler", "memory", "disk", "Hub cache"):
        assert f"\n  {name} " in done.stdout or f"\n! {name} " in done.stdout


def test_a_problem_is_marked_and_ends_the_command_with_1(forgellm, tmp_path):
    missing = ["--workspace", str(tmp_path / "nowhere"), "doctor"]
    done = forgellm(*missing)
    assert done.returncode == 1
    assert "\nx workspace " in done.stdout
    facts = json.loads(forgellm(*missing, "--json").stdout)
    assert facts["works"] is False
    assert [fact["name"] for fact in facts["facts"] if fact["level"] == "problem"] == ["workspace"]
