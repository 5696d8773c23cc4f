"""A replay shows what rules would have made of the past, and changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from selo_dagster.store.engine import Store
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.replay import PAGE, Replayed, replay
from tests.support.fakes import NOW, add_person
from tests.triggers.arrivals import (
    after,
    arrive,
    before,
    dump,
    happen,
    known,
    look,
    number_of,
    requests,
    spike,
    storm,
    strong,
    talk,
)


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben, who said something yesterday."""
    for user in ("ana", "ben"):
        add_person(store, user)
    known(store, "ana", "ben")
    return store


def replayed(store: Store, since: datetime | None = None, until: datetime | None = None, **options: Any) -> Replayed:
    """Replay; without bounds, from a day before now to a day after it."""
    with store.read() as connection:
        return replay(connection, catalogue(), since=since or before(days=1), until=until or after(days=1), **options)


def fired(found: Replayed) -> list[tuple[str, str, datetime, bool]]:
    return [(one.user_id, one.rule, one.at, one.in_cooldown) for one in found.fired]


def test_it_tells_who_when_by_which_rule_and_whether_in_a_cooldown(store: Store) -> None:
    spike(store, "ana", "e1")
    spike(store, "ana", "e2", after(hours=3))
    spike(store, "ana", "e3", after(hours=4))
    spike(store, "ben", "e4", after(hours=3))
    spike(store, "ben", "calm", intensity=0.2)
    strong(store, "ben", "m1", after(hours=1))
    look(store, after(hours=5))
    found = replayed(store)
    assert fired(found) == [
        ("ana", "emotional_spike", NOW, False),
        ("ben", "important_memory", after(hours=1), False),
        ("ana", "emotional_spike", after(hours=3), True),
        ("ben", "emotional_spike", after(hours=3), False),
        ("ana", "emotional_spike", after(hours=4), False),
    ]
    assert found.fired[0].causes == (number_of(store, "e1"),)
    assert (found.events, found.unreadable) == (8, 0)


def test_it_tells_of_silence_at_the_moment_at_which_it_was_long_enough(store: Store) -> None:
    said = talk(store, "ana", NOW, 10)
    talk(store, "ana", after(hours=9), 1)
    look(store, after(hours=10))
    found = replayed(store)
    assert fired(found) == [("ana", "silence", after(minutes=24), False)]
    assert found.fired[0].causes == tuple(number_of(store, one) for one in said)


def test_silence_at_the_end_is_told_at_its_own_moment_too(store: Store) -> None:
    talk(store, "ana", NOW, 10)
    look(store, after(minutes=10))
    assert fired(replayed(store, until=after(minutes=23))) == []
    assert fired(replayed(store, until=after(hours=20))) == [("ana", "silence", after(minutes=24), False)]


def test_it_changes_nothing(store: Store) -> None:
    talk(store, "ana", NOW, 12)
    strong(store, "ana", "m1")
    happen(store, "ben", "bad", "emotional_spike", {})
    look(store, after(minutes=12))
    untouched = dump(store)
    found = replayed(store)
    assert {one.rule for one in found.fired} == {"important_memory", "silence"}
    assert found.unreadable == 1
    assert dump(store) == untouched


def test_ingested_history_counts_as_if_it_had_arrived_when_it_happened(store: Store) -> None:
    for day in range(1, 22):
        strong(store, "ana", f"m{day}", before(days=day), lag=timedelta(days=day))
    look(store)
    assert requests(store) == []
    found = replayed(store, since=before(days=30))
    assert [one.at for one in found.fired] == [before(days=day) for day in range(21, 0, -1)]
    assert not any(one.in_cooldown for one in found.fired)


def test_only_the_chosen_span_person_and_rules_are_shown(store: Store) -> None:
    for user in ("ana", "ben"):
        spike(store, user, f"{user}-e")
        strong(store, user, f"{user}-m", after(hours=1))
    look(store, after(hours=1))
    found = replayed(store, user_id="ben", rules=["emotional_spike"])
    assert [(one.user_id, one.rule) for one in found.fired] == [("ben", "emotional_spike")]
    found = replayed(store, since=after(minutes=1))
    assert {one.rule for one in found.fired} == {"important_memory"}
    found = replayed(store, until=after(minutes=59))
    assert {one.rule for one in found.fired} == {"emotional_spike"}


def test_events_in_another_order_than_they_happened_are_replayed_in_theirs(store: Store) -> None:
    for user in ("ana", "ben"):
        spike(store, user, f"{user}-late", after(hours=1))
        spike(store, user, f"{user}-early", NOW)
        arrive(store, [f"{user}-late", f"{user}-early"], on=after(hours=1))
    look(store, after(hours=1))
    assert fired(replayed(store, user_id="ana")) == [
        ("ana", "emotional_spike", NOW, False),
        ("ana", "emotional_spike", after(hours=1), True),
    ]


def test_no_event_is_lost_or_doubled_between_pages(store: Store) -> None:
    storm(store, "ana", PAGE + 1, NOW)
    storm_of_ben = [f"b{number}" for number in range(3)]
    for one in storm_of_ben:
        strong(store, "ben", one)
    look(store, after(minutes=2))
    found = replayed(store)
    causes = [number for one in found.fired if one.rule == "important_memory" for number in one.causes]
    assert (len(causes), len(set(causes))) == (PAGE + 4, PAGE + 4)
    # What each of them said yesterday is one event more.
    assert found.events == PAGE + 4 + 2
