"""The stream is read once for all rules: nothing is lost, nothing doubles, and history stays quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from random import Random

import pytest
from sqlalchemy import select, text, update

from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.event_types import MESSAGE_CREATED
from selo_dagster.memory.tables import events
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.reflections.claim import claim
from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.pauses import pause
from selo_dagster.reflections.tables import reflection_sources, reflections
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.kept import Kept
from selo_dagster.triggers.patterns import Frequency, Idle
from selo_dagster.triggers.rule import Rule
from selo_dagster.triggers.tables import trigger_states
from tests.support.fakes import NOW, FakeModel, add_person, cited, good_answer, say
from tests.triggers.arrivals import (
    TRIGGERED,
    after,
    arrive,
    before,
    counts,
    dump,
    events_of,
    happen,
    known,
    look,
    number_of,
    parked_rows,
    reflect,
    refs,
    requests,
    rules_of,
    spike,
    state,
    storm,
    strong,
    talk,
)

DIALECTS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def test_one_strong_memory_becomes_one_row_on_the_local_date_of_its_person(store: Store) -> None:
    add_person(store, "ana", zone="Pacific/Auckland")
    strong(store, "ana", "m1", before(minutes=1))
    looked = look(store)
    (row,) = requests(store)
    assert (row.user_id, row.kind, row.key) == ("ana", "triggered", "important_memory/memory:m1")
    assert (str(row.on), row.state, row.reason) == ("2026-11-24", "due", None)
    assert (row.since, row.ready_at) == (before(minutes=1), NOW)
    assert (row.cause["rule"], row.cause["trigger"], row.cause["count"]) == ("memory", "important_memory", 1)
    one = Kept(*row.cause["causes"][0])
    assert (one.seq, one.at, one.type) == (number_of(store, "m1"), before(minutes=1), "memory_created")
    assert (one.origin, one.ref, one.weight, one.marks) == ("memory", "m1", 0.9, None)
    assert len(row.cause["causes"]) == 1
    assert (looked.people, looked.drained) == ({"ana"}, True)


def test_a_memory_that_weighs_little_makes_no_row(store: Store) -> None:
    add_person(store, "ana")
    strong(store, "ana", "m1", importance=0.79)
    look(store)
    assert requests(store) == []
    assert counts(store)["important_memory"] == {"no_match": 1}


def test_looking_again_finds_nothing_new(store: Store) -> None:
    add_person(store, "ana")
    known(store, "ana")
    strong(store, "ana", "m1")
    spike(store, "ana", "e1")
    happen(store, "ana", "broken", "emotional_spike", {})
    look(store)
    first = dump(store)
    for _ in range(3):
        looked = look(store)
        assert (looked.events, looked.people, looked.drained) == (0, set(), True)
        assert dump(store) == first


def test_four_looks_at_the_same_time_ask_once(store: Store) -> None:
    for number in range(30):
        add_person(store, f"p{number}")
        strong(store, f"p{number}", f"m{number}")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: look(store, batch=7), range(4)))
    assert len(requests(store)) == 30
    assert sum(one.events for one in found) == 60
    assert counts(store)["important_memory"] == {"accepted": 30}


async def citing(request: CompletionRequest) -> str:
    """Cite whatever is shown."""
    insight = {"text": "It was much at once.", "evidence": cited(*request.evidence)}
    return good_answer(request, insights=[insight])


def test_r13_a_storm_of_a_thousand_is_one_reflection_that_reads_and_cites_the_weightiest(store: Store) -> None:
    """R13: trigger storm of 1 000 events in a minute = one reflection that cites the top ones."""
    add_person(store, "ana")
    storm(store, "ana", 1_000, before(minutes=2), lambda place: f"{place:0100}")
    look(store)
    (row,) = requests(store)
    assert row.cause["count"] == 1_000
    assert counts(store)["important_memory"] == {"accepted": 1, "merged": 999}
    model = FakeModel(citing)
    # Room for twenty texts and no more: the newest ones would have it if the causes did not come first.
    (settled,) = reflect(store, after(seconds=10), model, context_characters=2_000)
    assert settled.outcome == "done"
    assert [int(source.text) for source in model.asked[0].evidence] == list(range(20))
    with store.read() as connection:
        (made,) = connection.execute(select(reflections))
        rows = connection.execute(select(reflection_sources).where(reflection_sources.c.reflection_id == made.id)).all()
    top = {f"storm-{place}" for place in range(20)}
    assert set(made.insights[0]["evidence"]) == {f"memory:{one}" for one in top}
    # What is stored as cited is exactly what is: of a minute's thousand, nothing else was even read.
    assert {row.source_id for row in rows if row.use == "cited"} == top
    assert {row.source_id for row in rows if row.use == "read"} == set()
    # Neither the same look again, nor a later run, nor what the storm left behind makes another one.
    look(store)
    assert (reflect(store, after(hours=1)), len(requests(store))) == ([], 1)


def test_r13_a_storm_that_comes_in_pieces_is_one_reflection_that_cites_the_top_of_all_of_it(store: Store) -> None:
    """R13: trigger storm of 1 000 events in a minute = one reflection that cites the top ones, read in ten looks."""
    add_person(store, "ana")
    storm(store, "ana", 1_000, before(minutes=2), lambda place: f"{place:0100}", rising=True)
    while not look(store, batch=100, budget_s=0).drained:
        assert len(requests(store)) == 1
    (row,) = requests(store)
    assert (row.cause["count"], row.state) == (1_000, "due")
    (settled,) = reflect(store, after(minutes=2), FakeModel(citing), context_characters=2_000)
    with store.read() as connection:
        (made,) = connection.execute(select(reflections))
    assert settled.outcome == "done"
    assert set(made.insights[0]["evidence"]) == {f"memory:storm-{place}" for place in range(980, 1_000)}


def test_two_causes_do_not_wait_and_three_wait_for_quiet(store: Store) -> None:
    for user, number in (("ana", 2), ("ben", 3)):
        add_person(store, user)
        for place in range(number):
            strong(store, user, f"{user}-{place}")
    look(store)
    assert [row.ready_at for row in requests(store, "ana")] == [NOW]
    assert [row.ready_at for row in requests(store, "ben")] == [after(seconds=10)]


def test_a_burst_that_goes_on_waits_for_quiet_but_not_for_ever(store: Store) -> None:
    add_person(store, "ana")
    ready = []
    for step in range(18):
        now = after(seconds=8 * step)
        for place in range(3):
            strong(store, "ana", f"m{step}-{place}", now)
        look(store, now)
        (row,) = requests(store)
        ready.append((row.ready_at - NOW).total_seconds())
    assert ready[:3] == [10, 18, 26]
    assert ready[-3:] == [120, 120, 120]
    assert [row.cause["count"] for row in requests(store)] == [54]


def test_what_comes_later_joins_a_request_that_nobody_has_begun(store: Store) -> None:
    add_person(store, "ana")
    strong(store, "ana", "m1", importance=0.8)
    look(store)
    strong(store, "ana", "m2", after(seconds=5), importance=0.95)
    looked = look(store, after(seconds=5))
    (row,) = requests(store)
    assert (row.key, refs(row), row.cause["count"]) == ("important_memory/memory:m1", ["m2", "m1"], 2)
    assert looked.people == set()
    assert counts(store)["important_memory"] == {"accepted": 1, "merged": 1}


def test_what_comes_later_never_changes_a_request_that_is_in_hand(store: Store) -> None:
    add_person(store, "ana")
    strong(store, "ana", "m1")
    look(store)
    with store.write() as connection:
        claim(connection, TRIGGERED, run_id="busy", now=NOW, lease_s=30, limit=10)
    strong(store, "ana", "m2", after(seconds=5))
    look(store, after(seconds=5))
    first, second = requests(store)
    assert (first.state, refs(first), first.ready_at) == ("claimed", ["m1"], None)
    assert (second.state, refs(second), second.ready_at) == ("due", ["m2"], after(seconds=120))


def test_three_weeks_of_ingested_history_trigger_nothing_and_are_counted(store: Store) -> None:
    add_person(store, "ana")
    for day in range(1, 22):
        strong(store, "ana", f"m{day}", before(days=day), lag=timedelta(days=day))
        spike(store, "ana", f"e{day}", before(days=day))
        for place in range(12):
            say(store, "ana", before(days=day, minutes=place), "long ago", prefix=f"c{day}-{place}")
    arrive(store, on=NOW)
    with store.write() as connection:
        connection.execute(update(events).where(events.c.type == "emotional_spike").values(created_at=NOW))
    look(store)
    look(store, after(hours=6))
    assert requests(store) == []
    found = counts(store)
    assert found["important_memory"] == {"stale": 21}
    assert found["emotional_spike"] == {"stale": 21}
    assert found["silence"] == {"stale": 21 * 12}
    with store.read() as connection:
        assert connection.execute(select(trigger_states)).all() == []


def test_an_event_is_late_from_an_hour_on(store: Store) -> None:
    add_person(store, "ana")
    add_person(store, "ben")
    strong(store, "ana", "m1", before(hours=1), lag=timedelta(hours=1))
    strong(store, "ben", "m2", before(hours=1), lag=timedelta(hours=1, seconds=1))
    look(store)
    assert [row.user_id for row in requests(store)] == ["ana"]
    assert counts(store)["important_memory"] == {"accepted": 1, "stale": 1}


def test_after_a_long_outage_only_what_came_within_the_catch_up_is_made_up(store: Store) -> None:
    add_person(store, "ana")
    add_person(store, "ben")
    strong(store, "ana", "m1", before(days=3, seconds=1))
    strong(store, "ben", "m2", before(days=3, seconds=-1))
    look(store, catchup_days=3)
    assert [row.user_id for row in requests(store)] == ["ben"]
    assert counts(store)["important_memory"] == {"accepted": 1, "too_old": 1}


@pytest.fixture
def upgraded(request: pytest.FixtureRequest, empty_store_url: Callable[[str], str]) -> Iterator[Store]:
    """A store that was upgraded from the revision before triggers, while somebody's strong memory was fresh."""
    from alembic import command
    from alembic.config import Config

    opened = Store(empty_store_url(request.param))
    config = Config()
    config.set_main_option("script_location", "selo_dagster:store/migrations")
    config.attributes["store"] = opened
    command.upgrade(config, "0003")
    add_person(opened, "ana")
    strong(opened, "ana", "m1")
    fold_stream(opened)
    upgrade(opened)
    yield opened
    opened.close()


@pytest.mark.parametrize("upgraded", DIALECTS, indirect=True)
def test_what_was_there_before_the_upgrade_triggers_nothing_and_what_comes_after_does(upgraded: Store) -> None:
    looked = look(upgraded)
    assert (looked.events, looked.drained, requests(upgraded), counts(upgraded)) == (0, True, [], {})
    strong(upgraded, "ana", "m2")
    look(upgraded)
    assert [refs(row) for row in requests(upgraded)] == [["m2"]]


def test_without_time_a_look_does_one_batch_and_the_next_goes_on(store: Store) -> None:
    for number in range(10):
        add_person(store, f"p{number}")
        strong(store, f"p{number}", f"m{number}")
    found = [look(store, budget_s=0, batch=8) for _ in range(3)]
    assert [(one.events, one.seq, one.drained) for one in found] == [(8, 8, False), (8, 16, False), (4, 20, True)]
    assert len(requests(store)) == 10


def test_each_event_has_one_outcome_for_each_rule_that_has_to_see_it(store: Store) -> None:
    random = Random(8)
    people = [f"p{number}" for number in range(3)]
    for user in people:
        add_person(store, user)
    now = NOW
    for turn in range(16):
        now += timedelta(minutes=random.choice([1, 5, 40]))
        for place in range(random.randrange(25)):
            one, at = f"{turn}-{place}", now - timedelta(seconds=random.randrange(60))
            lag = timedelta(hours=random.choice([0, 0, 0, 2]))
            user = random.choice(people)
            kind = random.choice(["memory", "memory", "message", "spike", "learning", "knowledge"])
            if kind == "memory":
                strong(store, user, one, at, random.random(), lag=lag)
            elif kind == "message":
                said = say(store, user, at, "hm", role=random.choice(["user", "assistant"]), prefix=one)
                arrive(store, said, lag=lag)
            elif kind == "spike":
                spike(store, user, one, at, random.random())
            else:
                what = "learning_created" if kind == "learning" else "knowledge_updated"
                happen(store, user, one, what, {}, at, lag=lag)
        look(store, now, batch=random.choice([3, 10, 2_000]))
        if random.random() < 0.5:
            reflect(store, now + timedelta(seconds=30))
    found = counts(store)
    seen = {name: sum(found.get(name, {}).values()) for name in catalogue().rules}
    assert seen == {name: events_of(store, rule.watched) for name, rule in catalogue().rules.items()}
    outcomes = {outcome for one in found.values() for outcome in one}
    assert {"accepted", "merged", "cooldown", "stale", "no_match", "kept"} <= outcomes


def test_an_event_that_cannot_be_read_has_its_outcome_as_well(store: Store) -> None:
    add_person(store, "ana")
    spike(store, "ana", "calm", intensity=0.1)
    happen(store, "ana", "broken", "emotional_spike", {"emotion": "grief"})
    looked = look(store)
    assert (looked.events, looked.parked) == (3, 1)
    assert counts(store)["emotional_spike"] == {"no_match": 1, "parked": 1}


def test_a_memory_that_plain_sql_inserted_counts_too(store: Store) -> None:
    add_person(store, "ana")
    with store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO memories (id, user_id, kind, content, importance, at) "
                "VALUES ('sql-1', 'ana', 'fact', 'written by another program', 0.85, '2026-11-23T11:59:00.000000Z')"
            )
        )
    arrive(store)
    look(store)
    assert [refs(row) for row in requests(store)] == [["sql-1"]]


def test_an_event_that_only_says_it_is_a_memory_is_parked(store: Store) -> None:
    add_person(store, "ana")
    known(store, "ana")
    happen(store, "ana", "forged", "memory_created", {"importance": 1.0})
    look(store)
    (row,) = parked_rows(store)
    assert (row.seq, row.state) == (number_of(store, "forged"), "parked")
    assert row.code.startswith("wrong_origin: ")
    assert row.rules == ["importance_sum", "important_memory", "knowledge_update"]
    assert requests(store) == []


def test_for_somebody_who_is_gone_or_never_wrote_nothing_is_asked_and_no_cooldown_starts(store: Store) -> None:
    add_person(store, "gone")
    known(store, "gone")
    add_person(store, "never")
    with store.write() as connection:
        connection.execute(update(users).where(users.c.id == "gone").values(state=TOMBSTONED))
    for user in ("gone", "never"):
        spike(store, user, f"{user}-1")
    looked = look(store)
    assert looked.people == set()
    assert [(row.user_id, row.state, row.reason, row.ready_at) for row in requests(store)] == [
        ("gone", "skipped", "inactive", None),
        ("never", "skipped", "never_interacted", None),
    ]
    for user in ("gone", "never"):
        found = state(store, user, "emotional_spike")
        assert (found.cooldown_until, found.asked_at, found.requests) == (None, None, 0)
    assert counts(store)["emotional_spike"] == {"skipped": 2}


def test_whoever_is_on_hold_is_counted_and_asks_again_after_it(store: Store) -> None:
    for user in ("ana", "ben"):
        add_person(store, user)
    with store.write() as connection:
        pause(connection, kind=None, user_id="ana", because="asked us to", now=before(minutes=5))
    strong(store, "ana", "m1")
    strong(store, "ben", "m2")
    look(store)
    assert [row.user_id for row in requests(store)] == ["ben"]
    assert counts(store)["important_memory"] == {"accepted": 1, "paused": 1}
    assert state(store, "ana", "important_memory").cooldown_until is None


def test_a_kind_on_hold_asks_for_nobody(store: Store) -> None:
    add_person(store, "ana")
    with store.write() as connection:
        pause(connection, kind="triggered", user_id=None, because="a new prompt", now=before(minutes=5))
    strong(store, "ana", "m1")
    look(store)
    assert requests(store) == []
    assert counts(store)["important_memory"] == {"paused": 1}


def test_somebody_in_an_unusable_zone_holds_nobody_up(store: Store) -> None:
    add_person(store, "lost", zone="Mars/Olympus")
    add_person(store, "ana")
    strong(store, "lost", "m1")
    strong(store, "ana", "m2")
    look(store)
    assert [row.user_id for row in requests(store)] == ["ana"]
    assert counts(store)["important_memory"] == {"accepted": 1, "skipped": 1}


def test_somebody_who_appears_while_a_look_goes_on_is_not_taken_for_somebody_who_never_wrote(store: Store) -> None:
    add_person(store, "ana")
    strong(store, "ana", "m1")
    turns = count()

    def monotonic() -> float:
        # The look asks for the time between two batches: just then a new person appears.
        if next(turns) == 1:
            add_person(store, "new")
            strong(store, "new", "m2")
        return 0.0

    look(store, batch=1, monotonic=monotonic)
    look(store)
    assert [(row.user_id, row.state) for row in requests(store)] == [("ana", "due"), ("new", "due")]


def test_what_is_dated_to_the_end_of_time_stops_nobody_else(store: Store) -> None:
    add_person(store, "ana")
    add_person(store, "ben")
    said = talk(store, "ana", datetime.fromisoformat("9999-12-31T23:45:00+00:00"), 12)
    arrive(store, said, on=NOW)
    strong(store, "ben", "m1")
    look(store)
    assert [row.user_id for row in requests(store, "ben")] == ["ben"]


def test_a_rule_that_waits_for_silence_no_longer_does_not_keep_a_look_busy_for_ever(store: Store) -> None:
    idle = Idle(event_types=(MESSAGE_CREATED,), idle_seconds=60, maximum_wait_seconds=600)
    often = Frequency(thresholds={MESSAGE_CREATED: 2}, time_window_seconds=600)
    was = Rule(name="talk", says="talk", events=(MESSAGE_CREATED,), pattern=idle, cooldown_s=60)
    now = Rule(name="talk", says="talk", events=(MESSAGE_CREATED,), pattern=often, cooldown_s=60)
    add_person(store, "ana")
    talk(store, "ana", NOW, 1)
    look(store, NOW, rules_of(was))
    talk(store, "ana", after(seconds=30), 1)
    turns = count()
    look(store, after(minutes=5), rules_of(now), budget_s=50, monotonic=lambda: float(next(turns)))
    assert next(turns) < 20
