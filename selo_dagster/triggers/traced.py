"""What triggers tell in traces: the rule, and the numbers of the events that made it fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from selo_dagster.reflections.caused import caused_by
from selo_dagster.reflections.traced import places_of
from selo_dagster.tracing.spans import opening, span
from selo_dagster.tracing.switch import on


def tell_triggered(
    connection: Connection, kind: str, told: Sequence[tuple[str, str, dict[str, Any]]], outcome: str
) -> None:
    """Tell of requests, each (person, key, cause): a new one opens the trace of its obligation, one that grew joins it.

    Told when the caller's transaction is over.
    """
    if not told or not on():
        return
    begin = opening if outcome == "accepted" else span
    places = places_of(connection, [(user_id, kind, key) for user_id, key, _ in told])
    for (_, _, cause), place in zip(told, places, strict=True):
        shown = caused_by(cause)
        if place is None or shown is None:
            continue
        begin(
            "selo.trigger",
            place,
            kind=kind,
            trigger=shown.trigger,
            causes=shown.count,
            events=shown.events,
            outcome=outcome,
        ).end()
