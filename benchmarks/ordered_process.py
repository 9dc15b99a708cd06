"""A program beside this one that takes orders and answers them: a line of JSON each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["OrderFailedError", "OrderedProcess", "answer_orders"]

FAILURE = "failure"


class OrderFailedError(RuntimeError):
    """An order that was not carried out."""


class OrderedProcess:
    """A running module of this package; it ends when its context does.

    Args:
        module: calls ``answer_orders``.
        arguments: of its command line.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        # In a session of its own: what interrupts this program at its terminal does not reach it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order and wait for its answer.

        Raises:
            OrderFailedError: where there is none.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {FAILURE: "the process has ended"}
        if FAILURE in answer:
            raise OrderFailedError(answer[FAILURE])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def answer_orders(answer: Callable[..., dict[str, Any]], *failures: type[Exception]) -> None:
    """Answer the orders on the standard input until it ends.

    Args:
        answer: to an order.
        failures: which whoever gave the order is told of; others end the process.
    """
    for line in sys.stdin:
        try:
            reply = answer(**json.loads(line))
        except failures as error:
            reply = {FAILURE: f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
