"""Who may import whom, and what the light parts must never load."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAVY = {"matplotlib", "mlx", "mlx_lm", "numpy", "transformers"}


def packages_loaded_by(*arguments):
    """The top-level packages that `python ARGUMENTS` imports, by the interpreter's own account."""
    command = [sys.executable, "-X", "importtime", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


def test_the_contracts_on_layers_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["runs", "--help"]])
def test_help_loads_nothing_heavy(command):
    loaded = packages_loaded_by("-m", "forgellm", *command)
    assert "click" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    "module", ["forgellm.settings", "forgellm.services", "forgellm.jobs.launcher", "forgellm.web.app"]
)
def test_what_a_server_is_made_of_loads_no_mlx(module):
    loaded = packages_loaded_by("-c", f"import {module}")
    assert "forgellm" in loaded
    assert loaded & {"mlx", "mlx_lm", "transformers"} == set()
