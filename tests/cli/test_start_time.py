import subprocess
import sys

import pytest

from tests.cli.conftest import COMMAND

HEAVY = {
    "mlx",
    "mlx_lm",
    "numpy",
    "transformers",
    "tokenizers",
    "matplotlib",
    "rich",
    "psutil",
    "huggingface_hub",
    "flask",
    "pydantic",
    "werkzeug",
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["runs", "--help"],
        ["publish", "--help"],
        ["cli", "--help"],
        ["cli", "generate", "--help"],
        ["cli", "info", "--help"],
        ["models", "--help"],
        ["web", "--help"],
        ["server", "--help"],
        ["start", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments, worker_environment):
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], *arguments]
    done = subprocess.run(command, env=worker_environment, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & HEAVY


def test_help_names_every_command(worker_environment):
    done = subprocess.run(
        [*COMMAND, "--help"], env=worker_environment, capture_output=True, text=True, check=True
    )
    for command in ("start", "web", "server", "train", "runs", "checkpoints", "publish", "demo", "doctor"):
        assert f"\n  {command} " in done.stdout
