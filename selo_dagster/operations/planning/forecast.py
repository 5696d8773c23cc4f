"""What is likely to come beyond what is known: days that are not over, and moments that have not happened yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from statistics import median
from typing import Final

from sqlalchemy import Connection, func, select

from selo_dagster.operations.planning.work import Batch, Due, merged
from selo_dagster.people.history import is_zone
from selo_dagster.people.local_days import last_ended, windows
from selo_dagster.reflections.cadences.by_activity import ByActivity
from selo_dagster.reflections.cadences.by_cause import ByCause
from selo_dagster.reflections.cadences.every_date import EveryDate
from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.cadences.rows import staying
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import SKIPPED

DAYS: Final = 7
"""Dates that have ended everywhere, of which the middle number counts; one on which nothing came in counts too."""

_WEST: Final = timedelta(hours=-12)


def with_likely(connection: Connection, due: Due, now: datetime, until: datetime) -> list[Batch]:
    """Return the batches of `due`, and what the last dates make likely beyond them."""
    usual = {name: _usual(connection, name, now) for name in KINDS if name not in due.kinds_on_hold}
    people = sum(due.people.values())
    batches = list(due.batches)
    days: dict[tuple[str, date], int] = {}
    for kind in (KINDS[name] for name in usual):
        if isinstance(kind.cadence, EveryDate) and people:
            days |= _days(kind, batches, due.people, usual[kind.name] / people, now, until)
    for kind in (KINDS[name] for name in usual):
        of_a_day = isinstance(kind.cadence, EveryDate)
        if of_a_day or (isinstance(kind.cadence, Latest) and kind.cadence.reads == "parent"):
            batches += _on_days(kind, days, now, until)
        elif isinstance(kind.cadence, ByActivity | ByCause):
            batches += _spread(kind.name, usual[kind.name], batches, now, until)
    return merged(batches)


def _usual(connection: Connection, name: str, now: datetime) -> float:
    """Return how many obligations of a kind a date had, by the middle of the last dates."""
    last = (now + _WEST).date() - timedelta(days=1)
    first = last - timedelta(days=DAYS - 1)
    numbers: Mapping[date, int] = {
        row.on: row.n
        for row in connection.execute(
            select(ledger.c.on, func.count().label("n"))
            .where(ledger.c.kind == name, ledger.c.on.between(first, last), ledger.c.state != SKIPPED)
            .group_by(ledger.c.on)
        )
    }
    return median(numbers.get(last - timedelta(days=back), 0) for back in range(DAYS))


def _days(
    kind: Kind, batches: list[Batch], people: Mapping[str, int], share: float, now: datetime, until: datetime
) -> dict[tuple[str, date], int]:
    """Return by zone and date how many more people will leave something to read until it ends."""
    known: dict[tuple[str, date], int] = defaultdict(int)
    for one in batches:
        if one.kind == kind.name and one.zone is not None:
            known[one.zone, one.on] += one.number
    found = {}
    for zone, number in people.items():
        if is_zone(zone):
            lived = staying(zone)
            for day in windows(lived, last_ended(lived, now) + timedelta(days=1), last_ended(lived, until)):
                more = round(share * number) - known[zone, day.on]
                if more > 0:
                    found[zone, day.on] = more
    return found


def _on_days(kind: Kind, days: Mapping[tuple[str, date], int], now: datetime, until: datetime) -> list[Batch]:
    found = []
    for (zone, on), more in days.items():
        since = kind.cadence.since(staying(zone), on)
        if since is not None and since <= until:
            behind = kind.cadence.after is not None
            found.append(Batch(kind.name, on, since, max(now, since), more, zone, behind, likely=more))
    return found


def _spread(name: str, usual: float, batches: list[Batch], now: datetime, until: datetime) -> list[Batch]:
    """Return what comes by the hour, evenly: no hour of a moment is known before it."""
    hours = max(1, round((until - now) / timedelta(hours=1)))
    known = sum(one.number for one in batches if one.kind == name and one.at > now)
    more = max(0, round(usual * hours / 24) - known)
    found = []
    for hour in range(hours):
        number = more * (hour + 1) // hours - more * hour // hours
        at = now + timedelta(hours=hour, minutes=30)
        if number:
            found.append(Batch(name, at.date(), at, at, number, likely=number))
    return found
