import resource
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
}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["runs", "--help"], ["publish", "--help"]]
)
def test_help_imports_nothing_heavy(arguments, worker_environment):
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], *arguments]
    done = subprocess.run(command, env=worker_environment, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & HEAVY


def test_help_takes_less_than_a_third_of_a_second_of_the_processor(worker_environment):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(3):
        subprocess.run([*COMMAND, "--help"], env=worker_environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used / 3 < 0.3


def test_help_names_every_command(worker_environment):
    done = subprocess.run(
        [*COMMAND, "--help"], env=worker_environment, capture_output=True, text=True, check=True
    )
    for command in ("train", "runs", "checkpoints", "publish", "doctor"):
        assert f"\n  {command} " in done.stdout
