"""A process that makes one change of state and is killed as soon as it is committed."""

from __future__ import annotations

import os
import signal
import sys

from selo_dagster.store.engine import Store
from tests.operations.alerts.changes import CHANGES


def main(url: str, name: str) -> None:
    """Make it, commit it, and die."""
    store = Store(url)
    prepare, _ = CHANGES[name]
    change = prepare(store)
    with store.write() as connection:
        change(connection)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
