"""Old events go once everybody has read them; what they were about stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, select, union_all, update

from selo_dagster.clock import parse_instant
from selo_dagster.memory.retention import prunable_events, prune_events
from selo_dagster.memory.stream import NUMBERING, number_committed, position, read_after, set_position
from selo_dagster.memory.tables import events, memories
from selo_dagster.store.engine import Store
from tests.memory.builders import event, memory, reasons, take, user

TODAY = parse_instant("2026-11-23T12:00:00Z")
LONG_AGO = TODAY - timedelta(days=100)
KEPT_FROM = TODAY - timedelta(days=90)


def numbered(store: Store, count: int, *, arrived_at: datetime = LONG_AGO) -> None:
    """Add so many events of one person, memories all but the first, that arrived at an instant."""
    take(store, user(), *[memory(f"m{number}") for number in range(2, count + 1)])
    with store.write() as connection:
        number_committed(connection, 1_000)
        connection.execute(update(events).values(created_at=arrived_at))


def read_upto(store: Store, **readers: int) -> None:
    """Say how far readers have come."""
    with store.write() as connection:
        for reader, seq in readers.items():
            set_position(connection, reader, seq)


def prune(store: Store, older_than: datetime = KEPT_FROM, **given: Any) -> int:
    """Prune once; what was announced is what went."""
    with store.read() as connection:
        announced = prunable_events(connection, older_than, keep=given.get("keep"))
    with store.write() as connection:
        gone = prune_events(connection, older_than, **given)
    assert gone == min(announced, given.get("limit", announced))
    return gone


def left(store: Store) -> list[int | None]:
    """Return the numbers of the events that are there."""
    with store.read() as connection:
        return list(connection.execute(select(events.c.seq).order_by(events.c.id)).scalars())


def test_an_old_event_that_everybody_has_read_goes_and_its_memory_stays(store: Store) -> None:
    numbered(store, 3)
    read_upto(store, reflection_days=3, triggers=3)
    assert prune(store) == 3
    assert left(store) == []
    with store.read() as connection:
        assert connection.execute(select(memories.c.id).order_by(memories.c.id)).scalars().all() == ["m2", "m3"]
    assert prune(store) == 0


@pytest.mark.parametrize(
    ("readers", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"reflection_days": 0}, [1, 2, 3, 4]),
        ({"reflection_days": 4, "triggers": 0}, [1, 2, 3, 4]),
        ({"reflection_days": 4, "triggers": 2}, [3, 4]),
        ({"reflection_days": 1, "triggers": 3}, [2, 3, 4]),
        ({"reflection_days": 4, "triggers": 4}, []),
    ],
)
def test_what_some_reader_has_not_read_stays_however_old(
    store: Store, readers: dict[str, int], expected: list[int]
) -> None:
    numbered(store, 4)
    read_upto(store, **readers)
    prune(store)
    assert left(store) == expected


def test_an_event_without_a_number_stays(store: Store) -> None:
    numbered(store, 2)
    read_upto(store, triggers=2)
    take(store, event("late"))
    with store.write() as connection:
        connection.execute(update(events).values(created_at=LONG_AGO))
    assert prune(store) == 2
    assert left(store) == [None]


@pytest.mark.parametrize(
    ("arrived_at", "gone"), [(KEPT_FROM - timedelta(microseconds=1), 2), (KEPT_FROM, 0), (TODAY, 0)]
)
def test_an_event_is_as_old_as_its_arrival(store: Store, arrived_at: datetime, gone: int) -> None:
    numbered(store, 2, arrived_at=arrived_at)
    read_upto(store, triggers=2)
    assert prune(store) == gone


def numbers(*seqs: int) -> Select[Any]:
    """Return a query of numbers."""
    return select(union_all(*[select(events.c.seq).where(events.c.seq == seq) for seq in seqs]).subquery().c.seq)


@pytest.mark.parametrize(("kept", "expected"), [((2,), [2]), ((1, 4), [1, 4]), ((9,), [])])
def test_numbers_that_must_stay_do(store: Store, kept: tuple[int, ...], expected: list[int]) -> None:
    numbered(store, 4)
    read_upto(store, triggers=4)
    assert prune(store, keep=numbers(*kept)) == 4 - len(expected)
    assert left(store) == expected


def test_what_must_stay_does_not_use_up_the_limit(store: Store) -> None:
    numbered(store, 4)
    read_upto(store, triggers=4)
    assert prune(store, keep=numbers(1, 2), limit=2) == 2
    assert left(store) == [1, 2]


def test_a_limit_takes_the_oldest_first(store: Store) -> None:
    numbered(store, 5)
    read_upto(store, triggers=5)
    assert prune(store, limit=2) == 2
    assert left(store) == [3, 4, 5]
    assert prune(store, limit=2) == 2
    assert prune(store, limit=2) == 1
    assert left(store) == []


def test_a_number_is_never_given_twice(store: Store) -> None:
    numbered(store, 3)
    read_upto(store, triggers=3)
    assert prune(store) == 3
    take(store, memory("m9"))
    with store.write() as connection:
        assert number_committed(connection, 10) == 1
        (found,) = read_after(connection, 0, 10)
        assert (found.seq, found.ref) == (4, "m9")
        assert position(connection, NUMBERING) == 4


def test_ingesting_a_memory_again_makes_no_new_event(store: Store) -> None:
    numbered(store, 3)
    read_upto(store, triggers=3)
    prune(store)
    report = take(store, user(), memory("m2"), memory("m3"))
    assert (reasons(report), report.unchanged) == ({}, 3)
    assert left(store) == []
