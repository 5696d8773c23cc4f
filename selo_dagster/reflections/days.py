"""Turns the event stream into the local dates on which a person left something to read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, select, union, update

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import MEMORY_CREATED, MESSAGE_CREATED, USER_STATED
from selo_dagster.memory.stream import (
    StreamEvent,
    lock_stream,
    number_committed,
    position,
    read_after,
    set_position,
)
from selo_dagster.memory.tables import memories, messages
from selo_dagster.people.history import chunked, zones_of
from selo_dagster.people.local_days import Zones, date_at
from selo_dagster.people.tables import users
from selo_dagster.reflections.activity.cadence import take_in
from selo_dagster.reflections.states import CLAIMED, DONE, DUE, SKIPPED, UNCHANGED, Reason
from selo_dagster.reflections.tables import reflection_days, reflection_ledger
from selo_dagster.store.engine import Store
from selo_dagster.store.upsert import insert_missing

log = logging.getLogger(__name__)

READER: Final = "reflection_days"
READS: Final = frozenset({MESSAGE_CREATED, MEMORY_CREATED, USER_STATED})
"""The events that this reader makes something of."""

BATCH: Final = 5_000
"""Events in one transaction: bounds memory and how long SQLite's one writer is kept."""

Day = tuple[str, date]


def fold_stream(store: Store, *, batch: int = BATCH) -> int:
    """Take in every committed event; returns how many. Safe to call at any time, by several processes."""
    total = 0
    while True:
        with store.write() as connection:
            taken = _fold_batch(connection, batch)
        total += taken
        if taken < batch:
            return total


def _fold_batch(connection: Connection, limit: int) -> int:
    lock_stream(connection)
    number_committed(connection, limit)
    events = read_after(connection, position(connection, READER), limit)
    if not events:
        return 0
    zones = zones_of(connection, sorted({event.user_id for event in events}))
    _add_days(connection, {day for event in events if (day := _day_of(event, zones)) is not None})
    moved = [event.user_id for event in events if event.type == USER_STATED]
    for user_id in _movers(connection, moved):
        _rebuild(connection, user_id, zones[user_id])
    take_in(connection, events, zones)
    set_position(connection, READER, events[-1].seq)
    return len(events)


def _day_of(event: StreamEvent, zones: Mapping[str, Zones]) -> Day | None:
    # Only what the person said or what is remembered of them gives a day something to reflect on.
    # The origin is asked too: an event that somebody merely states under such a name makes no memory.
    said = (event.origin, event.type) == ("message", MESSAGE_CREATED) and event.payload.get("role") == "user"
    theirs = said or (event.origin, event.type) == ("memory", MEMORY_CREATED)
    if not theirs or event.user_id not in zones:
        return None
    try:
        return event.user_id, date_at(zones[event.user_id], event.at)
    except SeloError as refused:
        # A row that another writer dated to a year without calendar rules must not stop the stream for everybody.
        log.warning("event %d cannot be placed on a date: %s", event.seq, refused.code)
        return None


def _add_days(connection: Connection, days: set[Day]) -> None:
    if not days:
        return
    insert_missing(connection, reflection_days, [{"user_id": user, "on": on} for user, on in sorted(days)])
    _mark_late(connection, days)


def _mark_late(connection: Connection, days: set[Day]) -> None:
    first, last = min(on for _, on in days), max(on for _, on in days)
    rows: list[tuple[Day, str]] = []
    for part in chunked(sorted({user for user, _ in days})):
        rows += [
            ((row.user_id, row.on), row.state)
            for row in connection.execute(
                select(reflection_ledger.c.user_id, reflection_ledger.c.on, reflection_ledger.c.state).where(
                    reflection_ledger.c.kind == "daily",
                    reflection_ledger.c.user_id.in_(part),
                    reflection_ledger.c.on.between(first, last),
                )
            )
        ]
    read_already = [day for day, state in rows if day in days and state in {CLAIMED, DONE, UNCHANGED}]
    if read_already:
        connection.execute(
            update(reflection_days)
            .where(reflection_days.c.user_id == bindparam("whose"), reflection_days.c.on == bindparam("day"))
            .values(late=True),
            [{"whose": user, "day": on} for user, on in read_already],
        )
    found_empty = [day for day, state in rows if day in days and state == SKIPPED]
    if found_empty:
        connection.execute(
            update(reflection_ledger)
            .where(
                reflection_ledger.c.kind == "daily",
                reflection_ledger.c.user_id == bindparam("whose"),
                reflection_ledger.c.on == bindparam("day"),
                reflection_ledger.c.state == SKIPPED,
                reflection_ledger.c.reason == Reason.NOTHING_NEW,
            )
            .values(
                state=DUE,
                reason=None,
                ready_at=reflection_ledger.c.since,
                settled_at=None,
                reported_by=None,
            ),
            [{"whose": user, "day": on} for user, on in found_empty],
        )


def _movers(connection: Connection, stated: Iterable[str]) -> list[str]:
    found: list[str] = []
    for part in chunked(sorted(set(stated))):
        found += connection.execute(select(users.c.id).where(users.c.id.in_(part), users.c.moves > 0)).scalars()
    return found


def _rebuild(connection: Connection, user_id: str, zones: Zones) -> None:
    # A move shifts every later boundary, so the dates of what was said before it may be others now.
    instants = union(
        select(messages.c.at).where(messages.c.user_id == user_id, messages.c.role == "user"),
        select(memories.c.at).where(memories.c.user_id == user_id),
    )
    days = set()
    for (at,) in connection.execute(instants):
        with suppress(SeloError):
            days.add((user_id, date_at(zones, at)))
    kept = {on for _, on in days}
    gone = [
        on
        for (on,) in connection.execute(
            select(reflection_days.c.on).where(and_(reflection_days.c.user_id == user_id, ~reflection_days.c.enrolled))
        )
        if on not in kept
    ]
    if gone:
        connection.execute(
            delete(reflection_days).where(
                reflection_days.c.user_id == bindparam("whose"), reflection_days.c.on == bindparam("day")
            ),
            [{"whose": user_id, "day": on} for on in gone],
        )
    if days:
        insert_missing(connection, reflection_days, [{"user_id": user, "on": on} for user, on in sorted(days)])
