"""How the budgets of the day stand, and what they hold back: the fleet and the kinds, never a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from selo_dagster.llm.budgets.caps import Budget, Over, day_of, next_day
from selo_dagster.llm.budgets.standing import gone, lines
from selo_dagster.output import instant
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.outage import asks
from selo_dagster.reflections.spending import over_now, put_off_for_room
from selo_dagster.sagas.paying import waiting_for_room

NO_CAP = "there was no room in a budget of its day, or in a person's own: `selo budget release` tries again at once"


def budget_status(connection: Connection, budget: Budget | None, now: datetime) -> dict[str, Any] | None:
    """Return the budgets of the day that `now` is in, ready for JSON; None where nothing is bounded."""
    if budget is None:
        return None
    return {
        "day": day_of(now).isoformat(),
        "until": instant(next_day(day_of(now))),
        "policy": budget.policy,
        "lines": [one.document for one in lines(connection, budget, now)],
        "held_back": _held_back(connection, budget, now),
    }


def _held_back(connection: Connection, budget: Budget, now: datetime) -> list[dict[str, Any]]:
    put_off = put_off_for_room(connection)
    found = []
    for name, kind in KINDS.items():
        if not asks(kind):
            continue
        number = put_off.get(name, 0)
        over = over_now(connection, budget, kind, now)
        if over is not None:
            number += ready_count(connection, kind, now)
        elif number:
            # Smaller calls may have room; what was put off had none.
            over = over_now(connection, budget, kind, now, refusals=1)
        found.append((name, number, over))
    for name, number in waiting_for_room(connection).items():
        found.append((name, number, gone(connection, budget, name, now, refusals=1)))
    return [_document(name, number, over) for name, number, over in found if number]


def _document(name: str, number: int, over: Over | None) -> dict[str, Any]:
    return {
        "kind": name,
        "number": number,
        "scope": None if over is None else over.scope,
        "because": NO_CAP if over is None else over.sentence,
    }
