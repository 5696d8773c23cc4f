"""Who is due: the one place that turns ended local dates into rows of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, false, func, literal, null, or_, select, update

from selo_dagster.clock import BEGINNING
from selo_dagster.people.history import chunked, is_zone, zones_of
from selo_dagster.people.local_days import Zones, ZoneSpan, ended_dates, window
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.kinds import Kind
from selo_dagster.reflections.states import DUE, SKIPPED, Reason
from selo_dagster.reflections.tables import reflection_days, reflection_ledger
from selo_dagster.store.engine import Store
from selo_dagster.store.upsert import insert_missing, insert_missing_from

_COLUMNS = ("user_id", "kind", "on", "key", "state", "reason", "since", "ready_at", "settled_at")


@dataclass(frozen=True)
class Enrolled:
    """What one look found. due, too_old: rows that are new in the ledger."""

    due: int
    too_old: int
    bad_zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    """People of one zone for whom one date has ended."""

    zone: str
    on: date
    since: datetime
    too_old: bool


def enrol(store: Store, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:
    """Insert a row for everybody whose local date has ended with something to read.

    Dates further back than `catchup_days` ended dates become `skipped(too_old)`. Running it twice, or in
    two processes, changes nothing: the ledger's unique key is the de-duplication.
    """
    fold_stream(store)
    with store.write() as connection:
        zones = [zone for (zone,) in connection.execute(select(users.c.zone).distinct())]
        good = [zone for zone in zones if is_zone(zone)]
        added = {False: 0, True: 0}
        for group in _groups(connection, good, now, catchup_days):
            added[group.too_old] += _enrol_group(connection, kind, group, now)
        for user_id, on, since, too_old in _movers(connection, now, catchup_days):
            added[too_old] += insert_missing(
                connection, reflection_ledger, [_row(kind, user_id, on, since, now, too_old=too_old)]
            )
            _mark_enrolled(connection, reflection_days.c.user_id == user_id, on)
    return Enrolled(added[False], added[True], tuple(sorted(set(zones) - set(good))))


def ended_in_zone(zone: str, now: datetime, catchup_days: int) -> tuple[date, ...]:
    """Return the ended dates that are still due for people who live in `zone`, newest first."""
    return ended_dates(_staying(zone), now, catchup_days)


def _staying(zone: str) -> Zones:
    return (ZoneSpan(since=BEGINNING, zone=zone),)


def _groups(connection: Connection, zones: list[str], now: datetime, catchup_days: int) -> Iterator[_Group]:
    bounds = {zone: ended_in_zone(zone, now, catchup_days) for zone in zones}
    # There are never more than three local dates in the world, so this OR stays short.
    by_last: dict[date, list[str]] = {}
    for zone, dates in bounds.items():
        if dates:
            by_last.setdefault(dates[0], []).append(zone)
    ended = or_(
        false(),
        *(and_(reflection_days.c.on <= last, users.c.zone.in_(some)) for last, some in by_last.items()),
    )
    found = connection.execute(
        _open_days(select(users.c.zone, reflection_days.c.on))
        .where(users.c.moves == 0, ended)
        .group_by(users.c.zone, reflection_days.c.on)
        .order_by(reflection_days.c.on.desc(), users.c.zone)
    ).all()
    for row in found:
        lived = window(_staying(row.zone), row.on)
        if lived is not None:
            yield _Group(row.zone, row.on, lived.end, too_old=row.on not in bounds[row.zone])


def _open_days(statement: Select[Any]) -> Select[Any]:
    return (
        statement.select_from(reflection_days)
        .join(users, users.c.id == reflection_days.c.user_id)
        .where(~reflection_days.c.enrolled, users.c.state == ACTIVE)
    )


def _enrol_group(connection: Connection, kind: Kind, group: _Group, now: datetime) -> int:
    values = _row(kind, "", group.on, group.since, now, too_old=group.too_old)
    rows = (
        _open_days(select(reflection_days.c.user_id, *_literals(values)))
        .where(users.c.moves == 0, users.c.zone == group.zone, reflection_days.c.on == group.on)
        .order_by(reflection_days.c.user_id)
    )
    added = insert_missing_from(connection, reflection_ledger, _COLUMNS, rows)
    theirs = exists().where(
        users.c.id == reflection_days.c.user_id,
        users.c.zone == group.zone,
        users.c.moves == 0,
        users.c.state == ACTIVE,
    )
    _mark_enrolled(connection, theirs, group.on)
    return added


def _literals(values: dict[str, object]) -> list[ColumnElement[Any]]:
    made: list[ColumnElement[Any]] = []
    for name in _COLUMNS[1:]:
        value = values[name]
        column = reflection_ledger.c[name]
        made.append(null().label(name) if value is None else literal(value, column.type).label(name))
    return made


def _row(kind: Kind, user_id: str, on: date, since: datetime, now: datetime, *, too_old: bool) -> dict[str, object]:
    return {
        "user_id": user_id,
        "kind": kind.name,
        "on": on,
        "key": on.isoformat(),
        "state": SKIPPED if too_old else DUE,
        "reason": Reason.TOO_OLD if too_old else None,
        "since": since,
        "ready_at": None if too_old else since,
        "settled_at": now if too_old else None,
    }


def _mark_enrolled(connection: Connection, whose: ColumnElement[bool], on: date) -> None:
    connection.execute(
        update(reflection_days)
        .where(whose, reflection_days.c.on == on, ~reflection_days.c.enrolled)
        .values(enrolled=True)
    )


def _movers(connection: Connection, now: datetime, catchup_days: int) -> Iterator[tuple[str, date, datetime, bool]]:
    latest = (now + timedelta(days=1)).date()
    rows = connection.execute(
        _open_days(select(reflection_days.c.user_id, reflection_days.c.on)).where(
            users.c.moves > 0, reflection_days.c.on <= latest
        )
    ).all()
    for part in chunked(sorted({row.user_id for row in rows})):
        zones = zones_of(connection, part)
        for row in (one for one in rows if one.user_id in zones):
            lived = window(zones[row.user_id], row.on)
            if lived is not None and lived.end <= now:
                due = ended_dates(zones[row.user_id], now, catchup_days)
                yield row.user_id, row.on, lived.end, row.on not in due


def ready_count(connection: Connection, kind: Kind, now: datetime) -> int:
    """Return how many rows of `kind` may be claimed now."""
    return int(
        connection.execute(
            select(func.count()).where(reflection_ledger.c.kind == kind.name, reflection_ledger.c.ready_at <= now)
        ).scalar_one()
    )
