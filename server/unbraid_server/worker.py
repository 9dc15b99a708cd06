"""``python -m unbraid_server.worker ORDER`` is one of several processes that answer calls on a port.

It tells its supervisor on standard output when it is ready, or why it cannot be, and ends with it.
"""

from __future__ import annotations

import os
import sys

from unbraid_core.errors import UnbraidError
from unbraid_server.run import run
from unbraid_server.tether import end_with_parent
from unbraid_server.worker_news import Refusal, WorkerNews, WorkerOrder

__all__ = ["main"]


def main() -> int:
    """Serve as the order says; 2 where that cannot be."""
    end_with_parent()
    order = WorkerOrder.model_validate_json(sys.argv[1])
    # Native libraries that print must not be taken for news.
    news_fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(news: WorkerNews) -> None:
        os.write(news_fd, f"{news.model_dump_json()}\n".encode())

    try:
        run(order.settings, tell, order.number)
    except UnbraidError as error:
        tell(Refusal(message=error.message))
        return 2
    except OSError as error:
        tell(Refusal(message=f"{error.filename or 'input/output'}: {error.strerror or error}"))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
