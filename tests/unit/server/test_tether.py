"""A tethered process ends with the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

TIMEOUT_S = 60.0
CHILD = """
import sys, time
from unbraid_server.tether import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(600)
"""
# It dies at once, without a chance to tell its child.
PARENT = f"""
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE, stdout=sys.stdout)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_ends_when_its_parent_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        assert parent.stdout.readline() == "ready\n"
        parent.stdin.close()
        assert parent.wait(TIMEOUT_S) == -signal.SIGKILL
        # The child has the other end of this pipe: it is closed when that is gone, too.
        assert parent.stdout.read() == ""
