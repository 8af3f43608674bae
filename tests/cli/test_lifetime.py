"""How a server's process learns that it is to end."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A thread that can take no notice gets the signal, as the system may decide.
_TOLD = """
import signal, threading
from forgellm.cli.lifetime import end_when_told, wait_until_told
end_when_told(None)
asleep = threading.Thread(target=threading.Event().wait, daemon=True)
asleep.start()
threading.Timer(0.5, signal.pthread_kill, (asleep.ident, signal.{name})).start()
try:
    wait_until_told()
finally:
    print("ended in order")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_another_thread_was_given_ends_the_process_too(name):
    script = _TOLD.format(name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended in order\n", "")
