"""A process of its own that does one thing, with whatever the environment says of traces."""

from __future__ import annotations

import sys

from selo_dagster.clock import FixedClock
from selo_dagster.sagas.downstream import Downstream
from selo_dagster.sagas.registry import registry
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, run_cohort
from tests.tracing.wishing import wishing
from tests.triggers.arrivals import TRIGGERED, look


def main(url: str, what: str) -> None:
    """Let the rules look, or reflect; what is told of it is sent as the process ends."""
    store = Store(url)
    if what == "look":
        look(store)
    else:
        follows = Downstream(registry(), load_settings({}))
        run_cohort(store, FakeModel(wishing), kind=TRIGGERED, clock=FixedClock(NOW), on_made=follows)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
