"""Every event has somebody who publishes it and somebody who reads it, under one name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select

from selo_dagster.clock import BEGINNING
from selo_dagster.memory.event_types import DATABASE, EVENT_TYPES
from selo_dagster.memory.stream import number_committed, read_after
from selo_dagster.memory.tables import conversations, events, memories, messages
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections import days
from selo_dagster.reflections.activity import cadence
from selo_dagster.sagas import conversations as ended
from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import Catalogue, catalogue
from selo_dagster.triggers.evaluate import Memory, evaluate
from selo_dagster.triggers.happening import Happening, happening_of
from selo_dagster.triggers.patterns import Frequency, Idle
from tests.memory.builders import event, reasons, take, user
from tests.triggers.happenings import KNOWLEDGE, LEARNING, MEMORY, MESSAGE, NOON, SPIKE, happening

BY_THE_DATABASE = {name for name, one in EVENT_TYPES.items() if one.origin != "event"}
MINIMAL: dict[str, dict[str, Any]] = {
    "emotional_spike": {"emotion": "grief", "intensity": 0.5},
    "knowledge_updated": {},
    "learning_created": {},
    "conversation": {},
    "conversation_ended": {"conversation": "c1"},
    "user_interaction": {},
}
"""The least that each event which is stated has to carry."""


@pytest.fixture
def ours() -> Iterator[Catalogue]:
    """The rules and event types of an installation without settings."""
    catalogue.cache_clear()
    yield catalogue()
    catalogue.cache_clear()


def subscribed(ours: Catalogue) -> dict[str, set[str]]:
    """Return every event that somebody reads, with who does."""
    readers = {name: rule.watched for name, rule in ours.rules.items()}
    readers |= {"dates": days.READS, "cadence": cadence.READS, "conversations": ended.READS}
    found: dict[str, set[str]] = {}
    for reader, names in readers.items():
        for name in names:
            found.setdefault(name, set()).add(reader)
    return found


def test_every_event_has_a_publisher_and_a_reader(ours: Catalogue) -> None:
    read = subscribed(ours)
    assert {name for name, one in ours.types.items() if not one.publisher.strip()} == set()
    assert set(ours.types) - set(read) == set()


def test_nobody_waits_for_an_event_that_is_not_registered(ours: Catalogue) -> None:
    assert set(subscribed(ours)) - set(ours.types) == set()


def test_names_have_one_spelling(ours: Catalogue) -> None:
    for name, one in ours.types.items():
        assert name == one.name
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)


def test_the_database_writes_its_own_events_as_they_are_declared(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(users).values(id="ana", key="ana", name="Ana", zone="Europe/Lisbon"))
        connection.execute(
            insert(user_statements).values(user_id="ana", since=BEGINNING, name="Ana", zone="Europe/Lisbon")
        )
        connection.execute(insert(conversations).values(id="c1", user_id="ana"))
        connection.execute(
            insert(messages).values(
                id="w1", user_id="ana", conversation_id="c1", role="user", content="I like rain", at=NOON
            )
        )
        connection.execute(
            insert(memories).values(
                id="m1", user_id="ana", kind="fact", content="Likes rain", importance=0.8, at=NOON, tags=[]
            )
        )
        number_committed(connection, 10)
        found = {one.type: happening_of(one, EVENT_TYPES[one.type]) for one in read_after(connection, 0, 10)}
    assert set(found) == BY_THE_DATABASE
    assert {EVENT_TYPES[name].publisher for name in found} == {DATABASE}
    seen = {name: (one.origin, one.ref, one.user_id, dict(one.fields), one.weight) for name, one in found.items()}
    assert seen == {
        "user_stated": ("user", "ana@0001-01-01T00:00:00.000000Z", "ana", {"zone": "Europe/Lisbon"}, 0.5),
        "message_created": ("message", "w1", "ana", {"role": "user"}, 0.5),
        "memory_created": ("memory", "m1", "ana", {"importance": 0.8}, 0.8),
    }


def test_every_event_that_is_stated_has_a_least_payload_here() -> None:
    assert set(MINIMAL) == set(EVENT_TYPES) - BY_THE_DATABASE


def test_the_door_takes_every_event_that_is_stated_and_rules_can_read_it(store: Store) -> None:
    lines = [event(name, event=name, payload=payload) for name, payload in MINIMAL.items()]
    report = take(store, user(), *lines)
    assert (reasons(report), report.accepted["event"]) == ({}, len(MINIMAL))
    with store.write() as connection:
        number_committed(connection, 100)
        read = [one for one in read_after(connection, 0, 100) if one.origin == "event"]
    assert {happening_of(one, EVENT_TYPES[one.type]).type for one in read} == set(MINIMAL)


@pytest.mark.parametrize("name", sorted(BY_THE_DATABASE))
def test_the_door_refuses_every_event_that_the_database_writes(store: Store, name: str) -> None:
    report = take(store, user(), event("x", event=name, payload={"role": "user", "importance": 0.9, "zone": "UTC"}))
    assert reasons(report)[2].startswith("reserved_event: ")
    with store.read() as connection:
        assert connection.execute(select(events.c.ref).where(events.c.ref == "x")).all() == []


def firings(ours: Catalogue, name: str, *found: Happening) -> int:
    """Return how often a built-in rule fires."""
    result = evaluate(ours.rules[name], Memory(), found)
    assert result.faults == []
    return len(result.firings)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("important_memory", (120, 0, "memory")),
        ("emotional_spike", (14_400, 10, "emotional")),
        ("knowledge_update", (86_400, 300, "knowledge")),
        ("learning_consolidation", (3_600, 0, "knowledge")),
    ],
)
def test_cooldowns_and_delays_are_the_predecessors(
    ours: Catalogue, name: str, expected: tuple[float, float, str]
) -> None:
    one = ours.rules[name]
    assert (one.cooldown_s, one.delay_s, one.flavour) == expected


@pytest.mark.parametrize(("importance", "expected"), [(0.79, 0), (0.8, 1), (1, 1)])
def test_a_memory_of_at_least_0_8_is_important(ours: Catalogue, importance: float, expected: int) -> None:
    assert firings(ours, "important_memory", happening(1, MEMORY, importance=importance)) == expected


@pytest.mark.parametrize(("intensity", "expected"), [(0.69, 0), (0.7, 1), (1, 1)])
def test_a_feeling_of_at_least_0_7_is_a_spike(ours: Catalogue, intensity: float, expected: int) -> None:
    assert firings(ours, "emotional_spike", happening(1, SPIKE, emotion="grief", intensity=intensity)) == expected


def spread(kind: str, number: int, first: int, last_s: float) -> list[Happening]:
    """Return events from noon to a second."""
    step = last_s / max(number - 1, 1)
    return [happening(first + place, kind, place * step, importance=0.5, role="user") for place in range(number)]


@pytest.mark.parametrize(
    ("knowledge", "memories", "last_s", "expected"),
    [(3, 2, 3_599, 1), (2, 2, 3_599, 0), (3, 1, 3_599, 0), (3, 2, 3_600, 0)],
)
def test_three_updates_and_two_memories_within_an_hour_are_much_that_is_new(
    ours: Catalogue, knowledge: int, memories: int, last_s: float, expected: int
) -> None:
    found = [*spread(KNOWLEDGE, knowledge, 1, last_s), *spread(MEMORY, memories, 10, last_s)]
    assert firings(ours, "knowledge_update", *found) == expected
    pattern = ours.rules["knowledge_update"].pattern
    assert pattern == Frequency(thresholds={KNOWLEDGE: 3, MEMORY: 2}, time_window_seconds=3_600)


@pytest.mark.parametrize(("number", "last_s", "expected"), [(5, 3_599, 1), (4, 3_599, 0), (5, 3_600, 0)])
def test_five_learnings_within_an_hour_are_consolidated(
    ours: Catalogue, number: int, last_s: float, expected: int
) -> None:
    assert firings(ours, "learning_consolidation", *spread(LEARNING, number, 1, last_s)) == expected


def test_a_quarter_of_an_hour_is_silence_as_it_was_in_the_predecessor(ours: Catalogue) -> None:
    pattern = ours.rules["silence"].pattern
    assert isinstance(pattern, Idle)
    assert (pattern.idle_seconds, set(pattern.watched)) == (900.0, {MESSAGE})
