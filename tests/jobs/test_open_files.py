"""A system that lets a process open few files only."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, resource, sys
from forgellm.jobs.open_files import TooFewOpenFiles, check_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
if os.geteuid() == 0:
    os.setuid(65534)  # Whom limits bind.
try:
    check_open_files()
    print("enough")
except TooFewOpenFiles as error:
    print(error.code, error.details["limit"], error.suggestion)
"""


@pytest.mark.parametrize(("limit", "said"), [(1000, "TOO_FEW_OPEN_FILES 1000 "), (4096, "enough")])
def test_too_few_open_files_for_mlx_lm_are_named_before_it_is_imported(limit: int, said: str) -> None:
    command = [sys.executable, "-c", CODE, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(said), done.stderr
    assert ("ulimit -Hn 4096" in done.stdout) is (limit < 4096)
