"""One look: one-offs whose time has come, and whoever is due for a kind."""

from __future__ import annotations

from datetime import datetime

from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kind import Enrolled, Kind
from selo_dagster.reflections.one_offs import place_due
from selo_dagster.store.engine import Store


def look(store: Store, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:
    """Place what was asked for and enrol who is due; see `enrol`."""
    found = enrol(store, kind, now, catchup_days)
    place_due(store, now, catchup_days, kind)
    return found
