"""Signals to a process whose main thread hardly gets to run."""

from __future__ import annotations

import subprocess
import sys

# Each signal comes about when the main thread begins to wait, and other threads hold the interpreter.
BUSY = """
import os, random, signal, sys, threading, time
from unbraid_server.sent_signals import SentSignals

def work():
    while True:
        sum(range(200))

sent = SentSignals(signal.SIGTERM, signal.SIGHUP)
sys.setswitchinterval(1e-4)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
for number in [signal.SIGTERM, signal.SIGHUP] * 150:
    def send(number=number):
        time.sleep(random.uniform(0, 1e-3))
        os.kill(os.getpid(), number)
    threading.Thread(target=send, daemon=True).start()
    assert sent.wait() is number
print("all came")
"""


def test_no_signal_is_missed_by_a_busy_process() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("all came\n", 0), done.stderr
