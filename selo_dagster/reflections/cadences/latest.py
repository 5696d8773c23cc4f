"""What is made up for its latest date only, once another kind is done with what it reads: mantra, questions, weekly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Date, Select, and_, exists, false, func, literal, or_, select, update

from selo_dagster.memory.tables import memories
from selo_dagster.people.history import chunked, is_zone, zones_of
from selo_dagster.people.local_days import Zones, ended_dates, last_ended, span
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.people.zones import wall_instant
from selo_dagster.reflections.answers import Answered
from selo_dagster.reflections.cadences.every_date import ended_reason
from selo_dagster.reflections.cadences.facts import Facts, facts_of
from selo_dagster.reflections.cadences.rows import Opening, insert_group, insert_one, staying
from selo_dagster.reflections.kind import Ahead, Enrolled, Horizon, Kind
from selo_dagster.reflections.states import (
    DEFERRED,
    DONE,
    DUE,
    FAILED,
    REJECTED,
    SETTLED,
    SKIPPED,
    UNCHANGED,
    Reason,
    waiting_for,
)
from selo_dagster.reflections.tables import reflection_days, reflection_ledger
from selo_dagster.store.types import UTCDateTime

ledger = reflection_ledger
ANSWER_DAYS: Final = 30
"""Days of answers that an audit looks at (the predecessor's window)."""

ANSWER_KIND: Final = "relationship_answer"


@dataclass(frozen=True)
class _Due:
    """The latest date of a kind in some zones. start, end: of what it covers; opening: when and whether it is due."""

    zones: tuple[str, ...]
    opening: Opening
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Latest:
    """Due at a time of the day after its date, for the latest date only.

    at: local time on the next day. days: dates covered. weekday: the only one a date may be (Monday is 0).
    after: the kind that has to be done with every covered date first, if it has to do with it. reads: whether
    days with something to read make it due, or the parent's own row, or answers.
    """

    at: time
    reads: str
    days: int = 1
    weekday: int | None = None
    after: Kind | None = None
    dated: bool = True

    def enrol(self, connection: Connection, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:
        """Release who waited, insert who is due; whoever is due for a later date has the earlier ones superseded."""
        released = self._release(connection, kind, now)
        due = too_old = paused = waiting = 0
        latest = list(self._due_by_zone(connection, now, catchup_days))
        for one in latest:
            self._supersede(connection, kind, one, now)
            who = self._unenrolled(kind, one)
            if one.opening.reason is not None:
                too_old += insert_group(connection, kind, who, one.opening, now)[0]
                continue
            if self.after is not None:
                held = Opening(one.opening.on, one.opening.since, waiting_for(self.after.name))
                waiting += insert_group(connection, kind, who.where(self._unsettled(users.c.id, one)), held, now)[0]
            added, on_hold = insert_group(connection, kind, who, one.opening, now)
            due += added
            paused += on_hold
        for user_id, opening in self._movers(connection, kind, now, catchup_days):
            added = insert_one(connection, kind, user_id, opening, now)
            due += added if opening.state == DUE else 0
            too_old += added if opening.reason == Reason.TOO_OLD else 0
            waiting += added if opening.state == DEFERRED else 0
        return Enrolled(due + released, too_old, paused, waiting)

    def ahead(self, connection: Connection, kind: Kind, horizon: Horizon) -> list[Ahead]:
        """Return who has something to read of the latest dates of the horizon, or will have the parent's row.

        Whoever moved is counted with the zone in which they live now.
        """
        found = []
        coming: Counter[tuple[str, date]] = Counter()
        if self.reads == "parent" and self.after is not None:
            for parent in self.after.cadence.ahead(connection, self.after, horizon):
                coming[parent.zone, parent.on] += parent.number
        # Only answers are counted up to an instant; for the rest, one statement serves every clock.
        alike: dict[tuple[date, datetime | None], list[_Due]] = {}
        for one in self._openings(connection, horizon):
            alike.setdefault((one.opening.on, one.end if self.reads == "answers" else None), []).append(one)
        for (on, _), dues in alike.items():
            whole = replace(dues[0], zones=tuple(zone for one in dues for zone in one.zones))
            who = self._without_row(select(users.c.zone, func.count().label("n")), kind, whole).where(horizon.free)
            there = {row.zone: row.n for row in connection.execute(who.group_by(users.c.zone))}
            for one in dues:
                for zone in one.zones:
                    number = there.get(zone, 0) + coming[zone, on]
                    if number:
                        found.append(Ahead(zone, on, one.opening.since, number))
        return found

    def open_dates(self, zones: Zones, now: datetime, catchup_days: int) -> tuple[date, ...]:
        """Return the latest date that is due, if it is within the catch-up."""
        on = self._latest(zones, now)
        return (on,) if on in ended_dates(zones, now, catchup_days) else ()

    def occurrence(self, on: date) -> date:
        """Return the last date on or before `on` that may carry a row."""
        return on if self.weekday is None else on - timedelta(days=(on.weekday() - self.weekday) % 7)

    def since(self, zones: Zones, on: date) -> datetime | None:
        """Return when `on` is due: the local time after it, and never before it has ended."""
        covered = span(zones, on - timedelta(days=self.days - 1), on)
        if covered is None:
            return None
        return max(covered.end, wall_instant(covered.zone, on + timedelta(days=1), self.at))

    def derived(
        self,
        connection: Connection,
        kind: Kind,  # noqa: ARG002 - the same for every kind of this cadence
        wanted: Sequence[tuple[str, date]],
        zones: Mapping[str, Zones],
        now: datetime,
    ) -> dict[tuple[str, date], Answered]:
        """Say why there is no row: by the calendar, by the parent, by what there is to read."""
        dates = [on for _, on in wanted]
        reach = timedelta(days=self.days - 1)
        user_ids = sorted({user for user, _ in wanted})
        facts = facts_of(connection, user_ids, min(dates) - reach, max(dates))
        parents = self._parents(connection, user_ids, min(dates) - reach, max(dates))
        found = {}
        for user_id, on in wanted:
            covered = [on - timedelta(days=back) for back in range(self.days)]
            rows = {day: state for day in covered if (state := parents.get((user_id, day))) is not None}
            reason = facts[user_id].reason(on) if facts[user_id].state != ACTIVE else None
            reason = reason or ended_reason(self, zones.get(user_id, ()), on, now) or facts[user_id].reason(on)
            reason = reason or self._missing(connection, user_id, on, zones, facts[user_id], covered, rows)
            waits = self.after is not None and any(state not in SETTLED for state in rows.values())
            if reason is None and waits and self.after is not None:
                found[user_id, on] = Answered.waiting(self.after.name)
            elif reason is None and on != self._latest(zones[user_id], now):
                found[user_id, on] = Answered.without_row(Reason.SUPERSEDED, open_to_request=True)
            else:
                found[user_id, on] = Answered.without_row(reason)
        return found

    def _missing(
        self,
        connection: Connection,
        user_id: str,
        on: date,
        zones: Mapping[str, Zones],
        facts: Facts,
        covered: list[date],
        rows: dict[date, str],
    ) -> str | None:
        if self.reads == "parent":
            made = any(state != SKIPPED for state in rows.values())
            return None if made or (not rows and facts.days.intersection(covered)) else Reason.NOTHING_NEW
        if self.reads == "days":
            return None if facts.days.intersection(covered) else Reason.NOTHING_NEW
        whole = span(zones[user_id], on, on)
        there = (
            whole is not None
            and connection.execute(
                select(memories.c.id).where(memories.c.user_id == user_id, *_answers_before(whole.end)).limit(1)
            ).first()
        )
        return None if there else Reason.NOTHING_NEW

    def _parents(
        self, connection: Connection, user_ids: Sequence[str], first: date, last: date
    ) -> dict[tuple[str, date], str]:
        if self.after is None:
            return {}
        found: dict[tuple[str, date], str] = {}
        for part in chunked(user_ids):
            rows = connection.execute(
                select(ledger.c.user_id, ledger.c.on, ledger.c.state).where(
                    ledger.c.kind == self.after.name, ledger.c.user_id.in_(part), ledger.c.on.between(first, last)
                )
            )
            found.update({(row.user_id, row.on): row.state for row in rows})
        return found

    def _latest(self, zones: Zones, now: datetime) -> date:
        on = self.occurrence(last_ended(zones, now) + timedelta(days=1))
        while (since := self.since(zones, on)) is None or since > now:
            on = self.occurrence(on - timedelta(days=1))
        return on

    def _due_by_zone(self, connection: Connection, now: datetime, catchup_days: int) -> Iterator[_Due]:
        zones = sorted(zone for (zone,) in connection.execute(select(users.c.zone).distinct()) if is_zone(zone))
        found: dict[tuple[date, datetime, str | None, datetime], list[str]] = {}
        for zone in zones:
            lived = staying(zone)
            on = self._latest(lived, now)
            since, covered = self.since(lived, on), span(lived, on - timedelta(days=self.days - 1), on)
            if since is not None and covered is not None:
                reason = None if on in ended_dates(lived, now, catchup_days) else Reason.TOO_OLD
                found.setdefault((on, since, reason, covered.end), []).append(zone)
        for (on, since, reason, end), some in sorted(found.items(), key=lambda item: (item[0][0], item[0][1])):
            yield _Due(tuple(some), Opening(on, since, reason), end - timedelta(days=ANSWER_DAYS), end)

    def _openings(self, connection: Connection, horizon: Horizon) -> Iterator[_Due]:
        """Yield each date that is the latest at some instant of the horizon, as it will be found then."""
        found: dict[tuple[date, datetime, datetime], list[str]] = {}
        for zone in sorted(zone for (zone,) in connection.execute(select(users.c.zone).distinct()) if is_zone(zone)):
            lived = staying(zone)
            first, on = self._latest(lived, horizon.now), self._latest(lived, horizon.until)
            while on >= first:
                since, covered = self.since(lived, on), span(lived, on - timedelta(days=self.days - 1), on)
                seen_at = horizon.now if since is None else max(horizon.now, since)
                if since and covered and on in ended_dates(lived, seen_at, horizon.catchup_days):
                    found.setdefault((on, since, covered.end), []).append(zone)
                on = self.occurrence(on - timedelta(days=1))
        for (on, since, end), some in sorted(found.items(), key=lambda item: item[0]):
            yield _Due(tuple(some), Opening(on, since), end - timedelta(days=ANSWER_DAYS), end)

    def _unenrolled(self, kind: Kind, one: _Due) -> Select[Any]:
        return self._without_row(select(users.c.id), kind, one).where(users.c.moves == 0).order_by(users.c.id)

    def _without_row(self, statement: Select[Any], kind: Kind, one: _Due) -> Select[Any]:
        mine = ledger.alias()
        there = exists().where(
            mine.c.user_id == users.c.id, mine.c.kind == kind.name, mine.c.key == one.opening.on.isoformat()
        )
        return statement.where(
            users.c.zone.in_(one.zones),
            users.c.state == ACTIVE,
            self._something(users.c.id, one.opening.on, one.end),
            ~there,
        )

    def _something(self, user_id: ColumnElement[Any], on: date, end: datetime) -> ColumnElement[bool]:
        first = on - timedelta(days=self.days - 1)
        if self.reads == "parent" and self.after is not None:
            parent = ledger.alias()
            return exists().where(
                parent.c.user_id == user_id,
                parent.c.kind == self.after.name,
                parent.c.key == on.isoformat(),
                parent.c.state != SKIPPED,
            )
        if self.reads == "days":
            return exists().where(reflection_days.c.user_id == user_id, reflection_days.c.on.between(first, on))
        return exists().where(memories.c.user_id == user_id, *_answers_before(end))

    def _unsettled(self, user_id: ColumnElement[Any], one: _Due) -> ColumnElement[bool]:
        return _unsettled(self.after, user_id, literal(one.opening.on, Date), self.days)

    def _release(self, connection: Connection, kind: Kind, now: datetime) -> int:
        if self.after is None:
            return 0
        waiting = and_(
            ledger.c.kind == kind.name,
            ledger.c.state == DEFERRED,
            ledger.c.ready_at.is_(None),
            ledger.c.reason == waiting_for(self.after.name),
        )
        rows = connection.execute(
            select(ledger.c.id, ledger.c.user_id, ledger.c.on).where(waiting).order_by(ledger.c.id)
        ).all()
        found = self._states_of(connection, rows)
        due = [row.id for row in rows if all(state in SETTLED for state in found[row.id])]
        made = {
            row.id
            for row in rows
            if self.reads != "parent" or any(state in {DONE, UNCHANGED} for state in found[row.id])
        }
        for part in _parts([one for one in due if one in made]):
            connection.execute(
                update(ledger).where(ledger.c.id.in_(part), waiting).values(state=DUE, reason=None, ready_at=now)
            )
        for part in _parts([one for one in due if one not in made]):
            connection.execute(
                update(ledger)
                .where(ledger.c.id.in_(part), waiting)
                .values(state=SKIPPED, reason=Reason.NOTHING_NEW, settled_at=now)
            )
        return len([one for one in due if one in made])

    def _states_of(self, connection: Connection, rows: Sequence[Any]) -> dict[int, list[str]]:
        if not rows:
            return {}
        reach = timedelta(days=self.days - 1)
        first, last = min(row.on for row in rows) - reach, max(row.on for row in rows)
        parents = self._parents(connection, sorted({row.user_id for row in rows}), first, last)
        return {
            row.id: [
                state
                for back in range(self.days)
                if (state := parents.get((row.user_id, row.on - timedelta(days=back)))) is not None
            ]
            for row in rows
        }

    def _supersede(self, connection: Connection, kind: Kind, one: _Due, now: datetime) -> None:
        # Of a kind that is made up for its latest date only, an open row of an earlier date has had its time.
        theirs = select(users.c.id).where(users.c.zone.in_(one.zones), users.c.moves == 0)
        _supersede(connection, kind, one.opening.on, ledger.c.user_id.in_(theirs), now)

    def _movers(
        self, connection: Connection, kind: Kind, now: datetime, catchup_days: int
    ) -> Iterator[tuple[str, Opening]]:
        moved = list(
            connection.execute(
                select(users.c.id).where(users.c.moves > 0, users.c.state == ACTIVE).order_by(users.c.id)
            ).scalars()
        )
        for part in chunked(moved):
            zones = zones_of(connection, part)
            latest = {user_id: self._latest(zones[user_id], now) for user_id in part if user_id in zones}
            for on in sorted(set(latest.values())):
                group = [user_id for user_id in latest if latest[user_id] == on]
                _supersede(connection, kind, on, ledger.c.user_id.in_(group), now)
                there = set(
                    connection.execute(
                        select(ledger.c.user_id).where(
                            ledger.c.kind == kind.name, ledger.c.key == on.isoformat(), ledger.c.user_id.in_(group)
                        )
                    ).scalars()
                )
                missing = [user_id for user_id in group if user_id not in there]
                ends = {user_id: whole.end for user_id in missing if (whole := span(zones[user_id], on, on))}
                readable = {
                    user_id
                    for end in sorted(set(ends.values()))
                    for user_id in connection.execute(
                        select(users.c.id).where(
                            users.c.id.in_([one for one in ends if ends[one] == end]),
                            self._something(users.c.id, on, end),
                        )
                    ).scalars()
                }
                for user_id in sorted(readable):
                    since = self.since(zones[user_id], on)
                    if since is not None:
                        yield (
                            user_id,
                            Opening(on, since, self._reason(connection, user_id, on, zones, now, catchup_days)),
                        )

    def _reason(
        self,
        connection: Connection,
        user_id: str,
        on: date,
        zones: Mapping[str, Zones],
        now: datetime,
        catchup_days: int,
    ) -> str | None:
        if on not in ended_dates(zones[user_id], now, catchup_days):
            return Reason.TOO_OLD
        if self.after is None:
            return None
        first = on - timedelta(days=self.days - 1)
        states = self._parents(connection, [user_id], first, on).values()
        return None if all(state in SETTLED for state in states) else waiting_for(self.after.name)


def _answers_before(end: datetime) -> list[ColumnElement[bool]]:
    since = literal(end - timedelta(days=ANSWER_DAYS), UTCDateTime)
    return [memories.c.kind == ANSWER_KIND, memories.c.at >= since, memories.c.at < end]


def _unsettled(parent_kind: Kind | None, user_id: ColumnElement[Any], on: Any, days: int) -> ColumnElement[bool]:
    if parent_kind is None:
        return false()
    parent = ledger.alias()
    value: date = on.value
    return exists().where(
        parent.c.user_id == user_id,
        parent.c.kind == parent_kind.name,
        parent.c.on.between(value - timedelta(days=days - 1), value),
        parent.c.state.not_in(SETTLED),
    )


def _supersede(connection: Connection, kind: Kind, on: date, whose: ColumnElement[bool], now: datetime) -> None:
    unclaimed = or_(
        and_(ledger.c.ready_at.is_not(None), ledger.c.state.in_((DUE, DEFERRED, FAILED, REJECTED))),
        and_(ledger.c.state == DEFERRED, ledger.c.ready_at.is_(None)),
    )
    connection.execute(
        update(ledger)
        .where(ledger.c.kind == kind.name, ledger.c.on < on, unclaimed, ledger.c.request_id.is_(None), whose)
        .values(state=SKIPPED, reason=Reason.SUPERSEDED, ready_at=None, settled_at=now)
    )


def _parts(ids: list[int], size: int = 500) -> Iterator[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
