"""Deferring Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest

from forgellm.cli.interrupts import interrupts_deferred

_CAUGHT = """
import os, signal
from forgellm.cli.interrupts import interrupts_deferred
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with interrupts_deferred():
        exec("os.kill(os.getpid(), signal.SIGINT)")
        print("whole")
except KeyboardInterrupt:
    print("then raised")
"""


def test_an_interrupt_is_raised_at_the_end_of_the_block():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    steps = []
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_deferred():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("whole")
        assert steps == ["whole"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_caught_interrupt_within_exec_does_not_decide_how_the_process_ends():
    done = subprocess.run([sys.executable, "-c", _CAUGHT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\nthen raised\n", "")
