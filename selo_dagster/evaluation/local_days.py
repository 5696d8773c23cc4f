"""Around every change of clocks: each date that a wall shows is due exactly once, in every zone that has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

import pytz
from sqlalchemy import insert, select

from selo_dagster.clock import BEGINNING, UTC
from selo_dagster.evaluation.judging import Verdict
from selo_dagster.evaluation.measures import LOCAL_DAYS
from selo_dagster.memory.tables import conversations, messages
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.engine import Store

YEAR: Final = 2026
FULL: Final = (2024, 2027)
"""Years of the full form, both included."""

STEP: Final = timedelta(hours=3)
STEPS: Final = 12
"""Words on both sides of a change: a day and a half, every three hours, and in the instant itself."""

NOON: Final = time(12, tzinfo=UTC)
MIDNIGHT: Final = time(0, tzinfo=UTC)
_CATCHUP: Final = 3
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Dweller:
    """Somebody in a zone whose clocks change. said: when they say something; dates: what their wall shows then."""

    user_id: str
    zone: str
    said: tuple[datetime, ...]
    dates: frozenset[date]


def swept(store: Store, *, full: bool = False) -> Iterator[Verdict]:
    """Yield a verdict for each zone: held of its dates. Needs an empty store, asks no model.

    One year, one zone for each way of changing and one look a day; full: four years, every name of a zone and two. What
    the dates are is taken from pytz alone.
    """
    dwellers = _dwellers(*(FULL if full else (YEAR, YEAR)), every_name=full)
    _furnish(store, dwellers)
    for at in _looks(dwellers, (MIDNIGHT, NOON) if full else (NOON,)):
        enrol(store, DAILY, at, _CATCHUP)
    due: dict[str, list[date]] = {one.user_id: [] for one in dwellers}
    ledger = reflection_ledger.c
    with store.read() as connection:
        for row in connection.execute(
            select(ledger.user_id, ledger.on).where(ledger.kind == DAILY.name, ledger.reason.is_(None))
        ):
            due[row.user_id].append(row.on)
    for one in dwellers:
        found = due[one.user_id]
        once = sum(found.count(on) == 1 for on in one.dates)
        beside = sum(on not in one.dates for on in found)
        says = "" if once == len(one.dates) and not beside else f"{once} of {len(one.dates)} dates once, {beside} more"
        yield Verdict(LOCAL_DAYS, one.zone, max(0, once - beside), len(one.dates), says)


def changes(zone: str, first: int, last: int) -> tuple[datetime, ...]:
    """Return the instants of these years at which the clocks of a zone change."""
    times: Sequence[datetime] = getattr(pytz.timezone(zone), "_utc_transition_times", ())
    return tuple(at.replace(tzinfo=UTC) for at in times if first <= at.year <= last)


def _dwellers(first: int, last: int, *, every_name: bool) -> list[Dweller]:
    found: dict[object, Dweller] = {}
    for zone in pytz.all_timezones if every_name else pytz.common_timezones:
        moments = changes(zone, first, last)
        if not moments:
            continue
        wall = pytz.timezone(zone)
        said = {at + STEP * step for at in moments for step in range(-STEPS, STEPS + 1)}
        said |= {at - _TICK for at in moments}
        shown = {at: at.astimezone(wall) for at in sorted(said)}
        # Zones whose walls show the same at the same instants are one.
        key: object = zone if every_name else tuple(one.replace(tzinfo=None) for one in shown.values())
        dates = frozenset(one.date() for one in shown.values())
        found.setdefault(key, Dweller(f"dweller.{len(found)}", zone, tuple(shown), dates))
    return list(found.values())


def _furnish(store: Store, dwellers: Sequence[Dweller]) -> None:
    with store.write() as connection:
        who = [{"id": one.user_id, "key": one.user_id, "name": "somebody", "zone": one.zone} for one in dwellers]
        connection.execute(insert(users), who)
        stated = [
            {"user_id": one.user_id, "since": BEGINNING, "name": "somebody", "zone": one.zone} for one in dwellers
        ]
        connection.execute(insert(user_statements), stated)
        talks = [{"id": f"{one.user_id}.c", "user_id": one.user_id} for one in dwellers]
        connection.execute(insert(conversations), talks)
        connection.execute(insert(messages), [row for one in dwellers for row in _words(one)])


def _words(dweller: Dweller) -> Iterator[dict[str, object]]:
    for place, at in enumerate(dweller.said):
        yield {
            "id": f"{dweller.user_id}.{place}",
            "user_id": dweller.user_id,
            "conversation_id": f"{dweller.user_id}.c",
            "role": "user",
            "content": "hello",
            "at": at,
        }


def _looks(dwellers: Sequence[Dweller], hours: Sequence[time]) -> list[datetime]:
    """Return when it is looked: on each day from the first word on until the last date has ended everywhere."""
    days = {at.date() + timedelta(days=more) for one in dwellers for at in one.said for more in (0, 1, 2)}
    return [datetime.combine(day, at) for day in sorted(days) for at in hours]
