"""Who is due: asked of each person's own clock, and never twice."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text, update

from selo_dagster.clock import parse_instant
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflection_days, reflection_ledger
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, add_person, remember, run_cohort, say

Row = tuple[str, str, str, str | None]


def rows(store: Store) -> list[Row]:
    """Return (person, date, state, reason) of the whole ledger."""
    with store.read() as connection:
        found = connection.execute(
            select(reflection_ledger).order_by(reflection_ledger.c.user_id, reflection_ledger.c.on)
        )
        return [(row.user_id, row.on.isoformat(), row.state, row.reason) for row in found]


def since(store: Store, user_id: str) -> datetime:
    """Return the instant from which a person's only row is due."""
    with store.read() as connection:
        found: datetime = connection.execute(
            select(reflection_ledger.c.since).where(reflection_ledger.c.user_id == user_id)
        ).scalar_one()
    return found


def test_a_day_is_due_from_its_own_midnight_and_not_a_moment_before(store: Store) -> None:
    add_person(store, "ana", zone="Europe/Lisbon")
    add_person(store, "kai", zone="Pacific/Honolulu")
    for name in ("ana", "kai"):
        say(store, name, "2026-11-22T12:00:00Z")
    midnight = parse_instant("2026-11-23T00:00:00Z")
    assert enrol(store, DAILY, midnight - timedelta(microseconds=1), 3).due == 0
    assert enrol(store, DAILY, midnight, 3).due == 1
    assert rows(store) == [("ana", "2026-11-22", "due", None)]
    enrol(store, DAILY, midnight + timedelta(hours=10), 3)
    assert since(store, "kai") == midnight + timedelta(hours=10)


def test_the_local_date_decides_not_the_date_in_greenwich(store: Store) -> None:
    add_person(store, "mei", zone="Asia/Tokyo")
    say(store, "mei", "2026-11-22T16:00:00Z")
    enrol(store, DAILY, NOW, 3)
    assert rows(store) == []
    enrol(store, DAILY, parse_instant("2026-11-23T15:00:00Z"), 3)
    assert rows(store) == [("mei", "2026-11-23", "due", None)]


def test_a_row_exists_only_where_there_is_something_to_read(store: Store) -> None:
    add_person(store, "silent")
    add_person(store, "answered-by-nobody")
    say(store, "answered-by-nobody", "2026-11-22T10:00:00Z", role="assistant")
    add_person(store, "remembered")
    remember(store, "remembered", "m1", "2026-11-22T10:00:00Z", "likes tea")
    enrol(store, DAILY, NOW, 3)
    assert [row[0] for row in rows(store)] == ["remembered"]


def test_dates_beyond_the_catch_up_are_skipped_as_too_old_and_counted(store: Store) -> None:
    add_person(store, "ana")
    for day in (18, 19, 20, 21, 22):
        say(store, "ana", f"2026-11-{day}T10:00:00Z")
    found = enrol(store, DAILY, NOW, 3)
    assert (found.due, found.too_old) == (3, 2)
    assert [(row[1][-2:], row[2], row[3]) for row in rows(store)] == [
        ("18", "skipped", "too_old"),
        ("19", "skipped", "too_old"),
        ("20", "due", None),
        ("21", "due", None),
        ("22", "due", None),
    ]


def test_looking_twice_or_from_two_processes_changes_nothing(store: Store) -> None:
    for number in range(40):
        add_person(store, f"p{number}")
        say(store, f"p{number}", "2026-11-22T10:00:00Z")
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(enrol(store, DAILY, NOW, 3).due)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 40
    assert len(rows(store)) == 40
    assert enrol(store, DAILY, NOW, 3).due == 0


def test_a_source_that_arrives_late_makes_its_day_due_if_it_was_not_reflected(store: Store) -> None:
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)
    say(store, "ana", "2026-11-21T10:00:00Z")
    assert enrol(store, DAILY, NOW, 3).due == 1


def test_a_source_that_arrives_after_its_reflection_is_shown_by_the_next_with_its_true_time(store: Store) -> None:
    add_person(store, "ana")
    say(store, "ana", "2026-11-21T10:00:00Z", "in time")
    enrol(store, DAILY, parse_instant("2026-11-22T01:00:00Z"), 3)
    model = FakeModel()
    run_cohort(store, model)
    say(store, "ana", "2026-11-21T18:00:00Z", "told too late")
    say(store, "ana", "2026-11-22T09:00:00Z", "the next day")
    enrol(store, DAILY, NOW, 3)
    run_cohort(store, model, run_id="run-2")
    say(store, "ana", "2026-11-23T09:00:00Z", "the day after")
    enrol(store, DAILY, NOW + timedelta(days=1), 3)
    run_cohort(store, model, run_id="run-3")
    shown = [[(one.text, one.late) for one in asked.evidence] for asked in model.asked]
    assert shown[:2] == [[("in time", False)], [("told too late", True), ("the next day", False)]]
    assert "2026-11-21 18:00" in [one.local for one in model.asked[1].evidence]


def test_somebody_who_moves_gets_each_lived_date_once(store: Store) -> None:
    add_person(store, "tomas", zone="Europe/Lisbon")
    say(store, "tomas", "2026-11-20T12:00:00Z")
    fold_stream(store)
    with store.write() as connection:
        connection.execute(
            insert(user_statements).values(
                user_id="tomas", since=parse_instant("2026-11-21T10:00:00Z"), name="tomas", zone="Asia/Tokyo"
            )
        )
        connection.execute(update(users).where(users.c.id == "tomas").values(zone="Asia/Tokyo", moves=1))
    say(store, "tomas", "2026-11-21T16:00:00Z")
    enrol(store, DAILY, NOW, 3)
    assert rows(store) == [("tomas", "2026-11-20", "due", None), ("tomas", "2026-11-22", "due", None)]


def test_somebody_in_a_zone_that_does_not_exist_is_told_and_keeps_nobody_else_waiting(store: Store) -> None:
    add_person(store, "ana")
    add_person(store, "lost", zone="Mars/Olympus")
    for name in ("ana", "lost"):
        say(store, name, "2026-11-22T10:00:00Z")
    found = enrol(store, DAILY, NOW, 3)
    assert (found.due, found.bad_zones) == (1, ("Mars/Olympus",))


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_an_instant_without_a_calendar_stops_the_stream_for_nobody(store: Store, year: str) -> None:
    add_person(store, "odd")
    say(store, "odd", f"{year}-01-01T12:00:00Z")
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z")
    assert enrol(store, DAILY, NOW, 3).due == 1


def test_a_committed_event_is_folded_though_an_earlier_one_commits_later(store: Store) -> None:
    if store.dialect == "sqlite":
        pytest.skip("SQLite has one writer: nothing commits out of order")
    add_person(store, "ana")
    add_person(store, "ben")
    fold_stream(store)
    with store.write() as slow:
        slow.execute(
            text("INSERT INTO conversations (id, user_id) VALUES ('slow', 'ana')"),
        )
        slow.execute(
            text(
                "INSERT INTO messages (id, user_id, conversation_id, role, content, at)"
                " VALUES ('slow-1', 'ana', 'slow', 'user', 'x', '2026-11-22T10:00:00Z')"
            )
        )
        say(store, "ben", "2026-11-22T10:00:00Z")
        fold_stream(store)
    fold_stream(store)
    with store.read() as connection:
        folded = {row.user_id for row in connection.execute(select(reflection_days))}
    assert folded == {"ana", "ben"}


def test_plain_sql_writers_count_too(store: Store) -> None:
    add_person(store, "ana")
    with store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO memories (id, user_id, kind, content, importance, at)"
                " VALUES ('m', 'ana', 'fact', 'likes tea', 0.5, '2026-11-22T10:00:00.000000Z')"
            )
        )
    enrol(store, DAILY, NOW, 3)
    assert rows(store) == [("ana", date(2026, 11, 22).isoformat(), "due", None)]
