"""By activity: the hour follows how lively somebody is, no date is skipped, and nothing new costs no call."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from selo_dagster.clock import FixedClock, parse_instant
from selo_dagster.memory.tables import events
from selo_dagster.reflections.activity.level import (
    DEFAULT_S,
    LONGEST_S,
    SHORTEST_S,
    activity_factor,
    adapted,
    level_of,
    target_s,
)
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.tables import reflection_cadences, reflection_sources
from selo_dagster.store.engine import Store
from tests.support.fakes import FakeModel, add_person, remember, run_cohort, say

ADAPTIVE = KINDS["adaptive"]
MORNING = parse_instant("2026-11-23T08:00:00Z")


def look_at(store: Store, when: datetime, model: FakeModel | None = None) -> list[str]:
    """Do the daily and then the adaptive kind at an instant; returns the adaptive outcomes."""
    found = []
    for kind in (DAILY, ADAPTIVE):
        enrol(store, kind, when, 3)
        found = run_cohort(store, model or FakeModel(), kind=kind, clock=FixedClock(when), run_id=f"{kind.name}{when}")
    return [one.outcome for one in found]


def due_at(store: Store) -> datetime | None:
    """Return when what is unread is due."""
    with store.read() as connection:
        found: datetime | None = connection.execute(select(reflection_cadences.c.due_at)).scalar_one()
    return found


def test_the_worked_example_of_the_formula() -> None:
    assert activity_factor([], MORNING) == 0.5
    target = target_s(0.5, 0.5, 0.2)
    assert target == pytest.approx(SHORTEST_S + 172_500 * 0.47)
    assert adapted(DEFAULT_S, [], MORNING, 0.5, 0.2) == pytest.approx(DEFAULT_S + 0.2 * (target - DEFAULT_S))


def test_the_interval_stays_within_its_bounds() -> None:
    lively = [(MORNING, 1.0)]
    interval = DEFAULT_S
    for _ in range(200):
        interval = adapted(interval, lively, MORNING, 1.0, 0.0)
    assert interval == pytest.approx(SHORTEST_S, abs=1)
    for _ in range(200):
        interval = adapted(interval, [(MORNING, 0.0)], MORNING, 0.0, 1.0)
    assert interval == pytest.approx(LONGEST_S, abs=1)


def test_the_newest_activity_weighs_most_and_old_activity_nothing() -> None:
    old, new = (MORNING - timedelta(hours=2), 0.0), (MORNING, 1.0)
    assert activity_factor([old, new], MORNING) < 0.5 < activity_factor([(old[0], 1.0), (MORNING, 0.0)], MORNING)
    assert activity_factor([(MORNING - timedelta(hours=25), 1.0)], MORNING) == 0.5


def test_a_message_is_as_lively_as_it_is_long_and_never_more_than_one() -> None:
    assert level_of(1, 300) == pytest.approx(0.5)
    assert level_of(9, 9_000) == 1.0


def test_a_lively_person_is_due_sooner_than_a_quiet_one(store: Store) -> None:
    for user, times in (("lively", 40), ("quiet", 1)):
        add_person(store, user)
        say(store, user, MORNING, *["so much to tell " * 20] * times)
    enrol(store, ADAPTIVE, MORNING, 3)
    with store.read() as connection:
        rows = connection.execute(select(reflection_cadences.c.user_id, reflection_cadences.c.interval_s)).all()
    interval = {row.user_id: row.interval_s for row in rows}
    assert interval["lively"] < interval["quiet"] < DEFAULT_S


def test_the_cadence_is_the_same_in_however_many_looks_it_is_read(store: Store) -> None:
    for user in ("once", "often"):
        add_person(store, user)
    say(store, "once", MORNING, *["a word"] * 12)
    for number in range(12):
        say(store, "often", MORNING + timedelta(minutes=number), "a word")
        enrol(store, ADAPTIVE, MORNING, 3)
    with store.read() as connection:
        one, other = connection.execute(
            select(reflection_cadences.c.interval_s).order_by(reflection_cadences.c.user_id)
        ).scalars()
    assert one == pytest.approx(other)


def test_it_is_due_at_the_end_of_the_date_at_last_so_no_date_is_skipped(store: Store) -> None:
    add_person(store, "ana", zone="Europe/Lisbon")
    say(store, "ana", "2026-11-23T22:00:00Z", "late at night")
    enrol(store, ADAPTIVE, MORNING, 3)
    assert due_at(store) == parse_instant("2026-11-24T00:00:00Z")


def test_r14_someone_who_never_goes_idle_is_reflected_on_all_the_same(store: Store) -> None:
    add_person(store, "ana")
    made = 0
    for minute in range(0, 24 * 60, 20):
        now = MORNING + timedelta(minutes=minute)
        say(store, "ana", now, "still here " * 30)
        made += look_at(store, now).count("done")
    assert made >= 1


def test_what_the_daily_has_read_is_no_news(store: Store) -> None:
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T12:00:00Z", "on sunday")
    model = FakeModel()
    assert look_at(store, parse_instant("2026-11-23T06:00:00Z"), model) == []
    assert [request.kind for request in model.asked] == ["daily"]
    assert due_at(store) is None


def test_nothing_new_is_unchanged_without_a_call_and_our_own_output_is_no_news(store: Store) -> None:
    add_person(store, "ana")
    say(store, "ana", MORNING, "good morning")
    now = MORNING + timedelta(hours=3)
    enrol(store, ADAPTIVE, now, 3)
    assert place(store, ADAPTIVE, Wish("r1", ("ana",), None), now, 3) == []
    model = FakeModel()
    assert [one.outcome for one in run_cohort(store, model, kind=ADAPTIVE, request_id="r1")] == ["done"]
    (reply,) = place(store, ADAPTIVE, Wish("r2", ("ana",), None), now + timedelta(hours=1), 3)
    assert (reply.outcome, reply.reason) == ("unchanged", "nothing_new")
    say(store, "ana", now, "yes, of course", role="assistant", prefix="mine")
    (reply,) = place(store, ADAPTIVE, Wish("r3", ("ana",), None), now + timedelta(hours=2), 3)
    assert (reply.outcome, reply.reason) == ("unchanged", "nothing_new")
    assert len(model.asked) == 1


def test_r3_the_watermark_never_passes_an_unread_memory(store: Store) -> None:
    add_person(store, "ana")
    say(store, "ana", MORNING, "first")
    now = MORNING + timedelta(hours=1)
    enrol(store, ADAPTIVE, now, 3)

    async def while_it_is_read(request: object) -> str:
        from tests.support.fakes import good_answer

        remember(store, "ana", "came-meanwhile", "2026-11-23T08:30:00Z", "something else", 0.9)
        enrol(store, ADAPTIVE, now, 3)
        return good_answer(request)  # type: ignore[arg-type]

    place(store, ADAPTIVE, Wish("r1", ("ana",), None), now, 3)
    (one,) = run_cohort(store, FakeModel(while_it_is_read), kind=ADAPTIVE, request_id="r1")
    assert one.outcome == "done"
    assert place(store, ADAPTIVE, Wish("r2", ("ana",), None), now + timedelta(minutes=1), 3) == []
    model = FakeModel()
    (two,) = run_cohort(
        store, model, kind=ADAPTIVE, request_id="r2", clock=FixedClock(now + timedelta(minutes=2)), run_id="run-2"
    )
    assert [source.text for source in model.asked[0].evidence] == ["something else"]
    with store.read() as connection:
        read = connection.execute(select(reflection_sources.c.source_id, reflection_sources.c.reflection_id)).all()
    assert {(row.source_id, row.reflection_id) for row in read} >= {("came-meanwhile", two.reflection_id)}


def test_what_does_not_fit_stays_unread_for_the_next(store: Store) -> None:
    add_person(store, "ana")
    say(store, "ana", MORNING, *[f"{number} " + "x" * 300 for number in range(6)])
    now = MORNING + timedelta(hours=1)
    seen: list[str] = []
    for number in range(6):
        enrol(store, ADAPTIVE, now, 3)
        if place(store, ADAPTIVE, Wish(f"r{number}", ("ana",), None), now + timedelta(minutes=number), 3):
            break
        model = FakeModel()
        run_cohort(store, model, kind=ADAPTIVE, request_id=f"r{number}", context_characters=700, run_id=f"run-{number}")
        seen += [source.text.split()[0] for request in model.asked for source in request.evidence]
    assert seen == ["0", "1", "2", "3", "4", "5"]


def test_stated_activity_counts_and_is_no_news(store: Store) -> None:
    add_person(store, "ana")
    with store.write() as connection:
        connection.execute(
            insert(events).values(
                origin="event",
                ref="e1",
                type="user_interaction",
                user_id="ana",
                at=MORNING,
                payload={"activity_level": 1.0},
            )
        )
    enrol(store, ADAPTIVE, MORNING, 3)
    with store.read() as connection:
        row = connection.execute(select(reflection_cadences)).one()
        assert connection.execute(select(ledger.c.id)).first() is None
    assert row.interval_s < DEFAULT_S
    assert (row.unread_since, row.due_at) == (None, None)
