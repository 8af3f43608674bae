"""A Mac is kept awake for as long as a run goes on, by a process that does not outlive it."""

import subprocess
import sys
import threading

import psutil

from forgellm.jobs.wakefulness import kept_awake

# Stands in for caffeinate, which only macOS has: it too is given the pid that it waits for.
SLEEPLESS = (sys.executable, "-c", "import signal; signal.pause()")


def helpers():
    return [p for p in psutil.Process().children() if "signal.pause" in " ".join(p.cmdline())]


def test_a_mac_is_kept_awake_inside_the_block_and_no_longer():
    with kept_awake(SLEEPLESS, system="darwin"):
        (helper,) = helpers()
        assert helper.cmdline()[-1] == str(psutil.Process().pid)
    assert helpers() == []


STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
signal.pause()
"""


def test_a_helper_that_does_not_end_when_told_costs_a_run_nothing(tmp_path):
    ready, poll = tmp_path / "ready", threading.Event()
    with kept_awake((sys.executable, "-c", STUBBORN, str(ready)), system="darwin"):
        while not ready.exists():
            poll.wait(0.01)
    assert helpers() == []


def test_an_error_inside_the_block_ends_the_helper_too():
    try:
        with kept_awake(SLEEPLESS, system="darwin"):
            raise KeyError
    except KeyError:
        assert helpers() == []


def test_nothing_is_started_on_other_systems():
    with kept_awake(SLEEPLESS, system="linux"):
        assert helpers() == []


def test_a_mac_without_the_tool_works_all_the_same(capfd):
    with kept_awake(("/nowhere/caffeinate",), system="darwin"):
        subprocess.run(["true"], check=True)
    assert "may fall asleep" in capfd.readouterr().err
