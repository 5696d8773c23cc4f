"""Rows of the ledger as a look inserts them, for everybody of one zone and date at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, literal, null

from selo_dagster.clock import BEGINNING
from selo_dagster.people.local_days import Zones, ZoneSpan
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.pauses import held_at, paused_users
from selo_dagster.reflections.states import DEFERRED, DUE, SKIPPED, Reason
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.upsert import insert_missing, insert_missing_from

COLUMNS: Final = ("user_id", "kind", "on", "key", "state", "reason", "since", "ready_at", "settled_at")


@dataclass(frozen=True)
class Opening:
    """A date of a kind that has become due at `since`, for some people. reason: why nobody works on it, if so."""

    on: date
    since: datetime
    reason: str | None = None

    @property
    def state(self) -> str:
        """Skipped for good where it is too old or was paused; deferred where something is waited for."""
        if self.reason is None:
            return DUE
        return SKIPPED if self.reason in {Reason.TOO_OLD, Reason.PAUSED} else DEFERRED


def staying(zone: str) -> Zones:
    """Return the zone history of somebody who never moved."""
    return (ZoneSpan(since=BEGINNING, zone=zone),)


def row(kind: Kind, user_id: str, opening: Opening, now: datetime) -> dict[str, Any]:
    """Return one new row."""
    return {
        "user_id": user_id,
        "kind": kind.name,
        "on": opening.on,
        "key": opening.on.isoformat(),
        "state": opening.state,
        "reason": opening.reason,
        "since": opening.since,
        "ready_at": opening.since if opening.state == DUE else None,
        "settled_at": now if opening.state == SKIPPED else None,
    }


def insert_one(connection: Connection, kind: Kind, user_id: str, opening: Opening, now: datetime) -> int:
    """Insert one person's row unless there is one; somebody who was on hold is skipped."""
    if opening.reason is None and was_on_hold(connection, kind, user_id, opening.since):
        opening = Opening(opening.on, opening.since, Reason.PAUSED)
    return insert_missing(connection, reflection_ledger, [row(kind, user_id, opening, now)])


def was_on_hold(connection: Connection, kind: Kind, user_id: str, since: datetime) -> bool:
    """Tell whether a kind, or somebody, was paused at the instant at which they became due."""
    held = held_at(connection, kind.name, since)
    if held.everybody or not held.somebody:
        return held.everybody
    return user_id in set(connection.execute(paused_users(kind.name, since)).scalars())


def insert_group(
    connection: Connection, kind: Kind, who: Select[Any], opening: Opening, now: datetime
) -> tuple[int, int]:
    """Insert a row for everybody that `who` (one column, user_id) finds; returns (rows, of them on hold)."""
    on_hold = 0
    if opening.reason is None:
        held = held_at(connection, kind.name, opening.since)
        paused = Opening(opening.on, opening.since, Reason.PAUSED)
        if held.everybody:
            return 0, _insert(connection, kind, who, paused, now)
        if held.somebody:
            column: ColumnElement[Any] = next(iter(who.selected_columns))
            chosen = who.where(column.in_(paused_users(kind.name, opening.since)))
            on_hold = _insert(connection, kind, chosen, paused, now)
    return _insert(connection, kind, who, opening, now), on_hold


def _insert(connection: Connection, kind: Kind, who: Select[Any], opening: Opening, now: datetime) -> int:
    values = row(kind, "", opening, now)
    made: list[ColumnElement[Any]] = []
    for name in COLUMNS[1:]:
        value, column = values[name], reflection_ledger.c[name]
        made.append(null().label(name) if value is None else literal(value, column.type).label(name))
    return insert_missing_from(connection, reflection_ledger, COLUMNS, who.add_columns(*made))
