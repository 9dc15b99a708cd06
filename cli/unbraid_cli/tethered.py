"""``python -m unbraid_cli.tethered ARGUMENT...`` is the ``unbraid`` command, tied to the life of its parent.

A killed demonstration leaves no server behind.
"""

from __future__ import annotations

from unbraid_cli.main import main
from unbraid_server.tether import end_with_parent

__all__: list[str] = []


if __name__ == "__main__":
    end_with_parent()
    main()
