"""The trial of a release: a process of its own opens it and answers queries before it may become active.

ONNX Runtime and FAISS are native code. A release that crashes them or never ends takes its own process with it, and
not the command, let alone a server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from unbraid_core.errors import IncompatibleError

__all__ = ["try_release"]

TIMEOUT_S = 300.0


def try_release(folder: Path) -> None:
    """Let a limited process open a release and answer its queries.

    Raises:
        IncompatibleError: it did not; the message says why.
    """
    command = [sys.executable, "-m", "unbraid_server.limited", "unbraid_server.probe", str(folder)]
    try:
        trial = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IncompatibleError(f"{folder.name}: no answer within {TIMEOUT_S:.0f} s; it is not fit to serve") from None
    if trial.returncode != 0:
        raise IncompatibleError(f"{folder.name}: {_reason(trial)}; it is not fit to serve")


def _reason(trial: subprocess.CompletedProcess[str]) -> str:
    if trial.returncode < 0:
        return f"the process that opened it was killed by {signal.Signals(-trial.returncode).name}"
    lines = trial.stdout.strip().splitlines()
    return lines[-1] if lines else f"the process that opened it ended with {trial.returncode}"
