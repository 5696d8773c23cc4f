"""Every local date that ended with something to read: what the daily goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, false, func, or_, select, true, update

from selo_dagster.people.history import chunked, is_zone, zones_of
from selo_dagster.people.local_days import Zones, ended_dates, last_ended, window
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.answers import Answered
from selo_dagster.reflections.cadences.facts import facts_of
from selo_dagster.reflections.cadences.rows import Opening, insert_group, insert_one, staying
from selo_dagster.reflections.kind import Ahead, Enrolled, Horizon, Kind
from selo_dagster.reflections.states import Reason
from selo_dagster.reflections.tables import reflection_days


@dataclass(frozen=True)
class _Group:
    """People of one zone for whom one date has ended."""

    zone: str
    opening: Opening
    number: int


@dataclass(frozen=True)
class EveryDate:
    """Due when the date ends; dates further back than the catch-up become `skipped(too_old)`."""

    dated: bool = True
    after: Kind | None = None

    def enrol(self, connection: Connection, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:
        """Insert a row for everybody whose local date has ended with something to read."""
        zones = [zone for (zone,) in connection.execute(select(users.c.zone).distinct())]
        good = [zone for zone in zones if is_zone(zone)]
        due = too_old = paused = 0
        for group in _groups(connection, good, now, catchup_days):
            added, on_hold = _enrol_group(connection, kind, group, now)
            too_old += added if group.opening.reason else 0
            due += 0 if group.opening.reason else added
            paused += on_hold
        for user_id, opening in _movers(connection, now, catchup_days):
            added = insert_one(connection, kind, user_id, opening, now)
            too_old += added if opening.reason else 0
            due += 0 if opening.reason else added
            _mark_enrolled(connection, reflection_days.c.user_id == user_id, opening.on)
        return Enrolled(due, too_old, paused, bad_zones=tuple(sorted(set(zones) - set(good))))

    def ahead(self, connection: Connection, kind: Kind, horizon: Horizon) -> list[Ahead]:  # noqa: ARG002
        """Return who has something to read on a date that ends within the horizon, or has ended unseen."""
        good = [zone for (zone,) in connection.execute(select(users.c.zone).distinct()) if is_zone(zone)]
        now, until, days = horizon.now, horizon.until, horizon.catchup_days
        found = [
            Ahead(group.zone, group.opening.on, group.opening.since, group.number)
            for group in _groups(connection, good, now, days, until=until, free=horizon.free)
            if group.opening.reason is None
        ]
        moved = list(_movers(connection, now, days, until=until, free=horizon.free))
        live_in = _zones_now(connection, sorted({user_id for user_id, _ in moved}))
        numbers = Counter(
            (live_in[user_id], opening.on, opening.since) for user_id, opening in moved if opening.reason is None
        )
        return [*found, *(Ahead(*group, number) for group, number in sorted(numbers.items()))]

    def open_dates(self, zones: Zones, now: datetime, catchup_days: int) -> tuple[date, ...]:
        """Return every ended date within the catch-up."""
        return ended_dates(zones, now, catchup_days)

    def occurrence(self, on: date) -> date:
        """Return the date itself: each has a row of its own."""
        return on

    def since(self, zones: Zones, on: date) -> datetime | None:
        """Return the end of the date."""
        lived = window(zones, on)
        return None if lived is None else lived.end

    def derived(
        self,
        connection: Connection,
        kind: Kind,  # noqa: ARG002 - the same for every kind of this cadence
        wanted: Sequence[tuple[str, date]],
        zones: Mapping[str, Zones],
        now: datetime,
    ) -> dict[tuple[str, date], Answered]:
        """Say why there is no row: `due` where there is something to read that has not been enrolled yet."""
        dates = [on for _, on in wanted]
        facts = facts_of(connection, sorted({user for user, _ in wanted}), min(dates), max(dates))
        found = {}
        for user_id, on in wanted:
            reason = ended_reason(self, zones.get(user_id, ()), on, now) or facts[user_id].reason(on)
            if reason is None and on not in facts[user_id].days:
                reason = Reason.NOTHING_NEW
            if facts[user_id].state != ACTIVE:
                reason = Reason.INACTIVE
            found[user_id, on] = Answered.without_row(reason)
        return found


def ended_reason(cadence: Any, zones: Zones, on: date, now: datetime) -> str | None:
    """Return why a date cannot be worked on yet or ever, by the calendar alone."""
    if not zones:
        return Reason.COULD_NOT_LOOK
    if cadence.occurrence(on) != on:
        return Reason.OTHER_DATE
    since = cadence.since(zones, on)
    if since is None:
        return Reason.NOT_LIVED
    return Reason.NOT_ENDED if since > now else None


def _groups(
    connection: Connection,
    zones: list[str],
    now: datetime,
    catchup_days: int,
    *,
    until: datetime | None = None,
    free: ColumnElement[bool] | None = None,
) -> Iterator[_Group]:
    """Yield who is due now; with `until`, also whose date ends up to then, as will be found when it ends."""
    by_last: dict[date, list[str]] = {}
    for zone in zones:
        by_last.setdefault(last_ended(staying(zone), until or now), []).append(zone)
    # There are never more than three local dates in the world, so this OR stays short.
    ended = or_(
        false(),
        *(and_(reflection_days.c.on <= last, users.c.zone.in_(some)) for last, some in by_last.items()),
    )
    found = connection.execute(
        _open_days(select(users.c.zone, reflection_days.c.on, func.count().label("n")))
        .where(users.c.moves == 0, ended, true() if free is None else free)
        .group_by(users.c.zone, reflection_days.c.on)
        .order_by(reflection_days.c.on.desc(), users.c.zone)
    ).all()
    for row in found:
        lived = window(staying(row.zone), row.on)
        if lived is not None:
            recent = row.on in ended_dates(staying(row.zone), max(now, lived.end), catchup_days)
            yield _Group(row.zone, Opening(row.on, lived.end, None if recent else Reason.TOO_OLD), row.n)


def _open_days(statement: Select[Any]) -> Select[Any]:
    return (
        statement.select_from(reflection_days)
        .join(users, users.c.id == reflection_days.c.user_id)
        .where(~reflection_days.c.enrolled, users.c.state == ACTIVE)
    )


def _enrol_group(connection: Connection, kind: Kind, group: _Group, now: datetime) -> tuple[int, int]:
    who = (
        _open_days(select(reflection_days.c.user_id))
        .where(users.c.moves == 0, users.c.zone == group.zone, reflection_days.c.on == group.opening.on)
        .order_by(reflection_days.c.user_id)
    )
    added = insert_group(connection, kind, who, group.opening, now)
    theirs = exists().where(
        users.c.id == reflection_days.c.user_id,
        users.c.zone == group.zone,
        users.c.moves == 0,
        users.c.state == ACTIVE,
    )
    _mark_enrolled(connection, theirs, group.opening.on)
    return added


def _zones_now(connection: Connection, user_ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunked(user_ids):
        rows = connection.execute(select(users.c.id, users.c.zone).where(users.c.id.in_(part)))
        found.update({row.id: row.zone for row in rows})
    return found


def _mark_enrolled(connection: Connection, whose: ColumnElement[bool], on: date) -> None:
    connection.execute(
        update(reflection_days)
        .where(whose, reflection_days.c.on == on, ~reflection_days.c.enrolled)
        .values(enrolled=True)
    )


def _movers(
    connection: Connection,
    now: datetime,
    catchup_days: int,
    *,
    until: datetime | None = None,
    free: ColumnElement[bool] | None = None,
) -> Iterator[tuple[str, Opening]]:
    end = until or now
    latest = (end + timedelta(days=1)).date()
    rows = connection.execute(
        _open_days(select(reflection_days.c.user_id, reflection_days.c.on)).where(
            users.c.moves > 0, reflection_days.c.on <= latest, true() if free is None else free
        )
    ).all()
    for part in chunked(sorted({row.user_id for row in rows})):
        zones = zones_of(connection, part)
        for row in (one for one in rows if one.user_id in zones):
            lived = window(zones[row.user_id], row.on)
            if lived is not None and lived.end <= end:
                recent = row.on in ended_dates(zones[row.user_id], max(now, lived.end), catchup_days)
                yield row.user_id, Opening(row.on, lived.end, None if recent else Reason.TOO_OLD)
