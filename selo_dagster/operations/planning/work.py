"""What there is to do: rows that are there already, and those that the cadences will make within the horizon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, extract, func, select, true

from selo_dagster.clock import UTC
from selo_dagster.people.history import bad_zones
from selo_dagster.people.local_days import date_at, last_ended, windows
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.cadences.rows import staying
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kind import Horizon
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.pauses import free_now, held_now, open_pauses, paused_users
from selo_dagster.reflections.states import CLAIMED, DEFERRED, waiting_for

QUARTER_S: Final = 900


@dataclass(frozen=True)
class Batch:
    """Obligations of one kind and date that become due together.

    since: due from; at: may be claimed from, as far as time alone decides. zone: None where several are in it.
    behind: they also wait for the kind before them. likely: how many of `number` are not known of yet.
    """

    kind: str
    on: date
    since: datetime
    at: datetime
    number: int
    zone: str | None = None
    behind: bool = False
    likely: int = 0


@dataclass(frozen=True)
class Due:
    """batches: all there is to do. people: active ones by zone; of zones with one clock, the first is named.

    The rest is left out: on hold, or in no zone.
    """

    batches: tuple[Batch, ...]
    people: dict[str, int]
    kinds_on_hold: tuple[str, ...]
    people_on_hold: int
    bad_zones: tuple[str, ...]
    people_in_bad_zones: int


def due_work(connection: Connection, now: datetime, until: datetime, catchup_days: int) -> Due:
    """Return what there is to do from `now` to `until`. Reads only; whoever is on hold now is taken to stay so."""
    batches: list[Batch] = []
    on_hold = []
    people: dict[str, int] = {
        row.zone: row.n
        for row in connection.execute(
            select(users.c.zone, func.count().label("n")).where(users.c.state == ACTIVE).group_by(users.c.zone)
        )
    }
    bad = bad_zones(connection)
    alike = _alike([zone for zone in people if zone not in bad], now, until)
    for kind in KINDS.values():
        held = held_now(connection, kind.name)
        if held.everybody:
            on_hold.append(kind.name)
            continue
        free = users.c.id.not_in(paused_users(kind.name, now)) if held.somebody else true()
        batches += _in_ledger(connection, kind.name, now, until)
        behind = kind.cadence.after is not None and kind.cadence.dated
        batches += [
            Batch(kind.name, one.on, one.since, max(now, one.since), one.number, alike.get(one.zone), behind)
            for one in kind.cadence.ahead(connection, kind, Horizon(now, until, catchup_days, free))
        ]
    living: Counter[str] = Counter()
    for zone, number in people.items():
        if zone in alike:
            living[alike[zone]] += number
    return Due(
        batches=tuple(merged(batches)),
        people=dict(living),
        kinds_on_hold=tuple(on_hold),
        people_on_hold=len({one.user_id for one in open_pauses(connection) if one.user_id is not None}),
        bad_zones=tuple(bad),
        people_in_bad_zones=sum(people.get(zone, 0) for zone in bad),
    )


def merged(batches: Iterable[Batch]) -> list[Batch]:
    """Return batches that differ in nothing but their number as one, in a fixed order."""
    numbers: Counter[Batch] = Counter()
    likely: Counter[Batch] = Counter()
    for one in batches:
        alike = replace(one, number=0, likely=0)
        numbers[alike] += one.number
        likely[alike] += one.likely
    return sorted(
        (replace(one, number=number, likely=likely[one]) for one, number in numbers.items() if number),
        key=lambda one: (one.at, one.kind, one.on, one.since, one.zone or "", one.behind),
    )


def _alike(zones: Iterable[str], now: datetime, until: datetime) -> dict[str, str]:
    """Return for each zone the first one whose dates end at the same instants: there are hundreds, of forty clocks."""
    first: dict[tuple[tuple[date, datetime], ...], str] = {}
    found = {}
    for zone in sorted(zones):
        lived = staying(zone)
        # With its dates: across the date line, others end at the same instants.
        ends = tuple((one.on, one.end) for one in windows(lived, last_ended(lived, now), date_at(lived, until)))
        found[zone] = first.setdefault(ends, zone)
    return found


def _in_ledger(connection: Connection, kind: str, now: datetime, until: datetime) -> list[Batch]:
    """Return the rows that may be claimed by `until`, those in somebody's hands, and those that wait for a kind."""
    free = free_now(connection, kind)
    if free is None:
        return []
    after = KINDS[kind].cadence.after
    waits = (
        and_(ledger.c.state == DEFERRED, ledger.c.ready_at.is_(None), ledger.c.reason == waiting_for(after.name))
        if after is not None
        else None
    )
    found = [
        Batch(kind, on, since, max(now, ready), number)
        for on, since, ready, number in _grouped(connection, kind, free, ledger.c.ready_at <= until, ledger.c.ready_at)
    ]
    # In somebody's hands: it goes on, or comes back when the lease runs out.
    held = _grouped(connection, kind, free, ledger.c.state == CLAIMED, ledger.c.since)
    found += [Batch(kind, on, since, now, number) for on, since, _, number in held]
    if waits is not None:
        waiting = _grouped(connection, kind, free, waits, ledger.c.since)
        found += [Batch(kind, on, since, now, number, behind=True) for on, since, _, number in waiting]
    return found


def _grouped(
    connection: Connection, kind: str, free: ColumnElement[bool], which: ColumnElement[bool], ready: ColumnElement[Any]
) -> list[tuple[date, datetime, datetime, int]]:
    """Return (on, since, ready, number) by quarters of an hour: since at its beginning, ready at its end.

    Activity gives everybody an instant of their own; so fine, there would be a group for each person.
    """
    since = extract("epoch", ledger.c.since)
    begun = since - since % QUARTER_S
    moment = extract("epoch", ready)
    over = moment + (QUARTER_S - moment % QUARTER_S) % QUARTER_S
    rows = connection.execute(
        select(ledger.c.on, begun.label("since"), over.label("ready"), func.count().label("n"))
        .where(ledger.c.kind == kind, free, which)
        .group_by(ledger.c.on, begun, over)
    )
    return [(row.on, _instant(row.since), _instant(row.ready), row.n) for row in rows]


def _instant(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
