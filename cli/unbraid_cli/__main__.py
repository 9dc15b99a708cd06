"""``python -m unbraid_cli`` is the ``unbraid`` command."""

from unbraid_cli.main import main

main()
