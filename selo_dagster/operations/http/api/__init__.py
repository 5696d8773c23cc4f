"""The API: what there is to read, and the few calls that write."""

from __future__ import annotations

from fastapi import FastAPI

from selo_dagster.operations.http.api import (
    alerts,
    documented,
    due,
    events,
    one_offs,
    reflections,
    sagas,
    sagas_asked,
    status,
)
from selo_dagster.operations.http.api.calls import Calls
from selo_dagster.operations.http.api.guard import Guard
from selo_dagster.operations.http.served import Served


def install(app: FastAPI, served: Served) -> None:
    """Add every call to `app`, each behind its guard, and describe them in /openapi.json."""
    calls = Calls(app, served, Guard(served.settings))
    for room in (sagas, reflections, due, alerts, events, one_offs, sagas_asked, status):
        room.add(calls)
    documented.install(app, served.settings)
