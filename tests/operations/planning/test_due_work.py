"""What a plan counts is what the looks will find."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from sqlalchemy import func, insert, select, update

from selo_dagster.clock import parse_instant
from selo_dagster.operations.planning.forecast import with_likely
from selo_dagster.operations.planning.work import Batch, due_work
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.activity.cadence import cadences
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.pauses import pause
from selo_dagster.reflections.states import DEFERRED, DUE
from selo_dagster.reflections.tables import reflection_one_offs
from selo_dagster.store.engine import Store
from tests.support.fakes import add_person, remember, run_cohort, say

NOW = parse_instant("2026-11-21T15:00:00Z")
"""Saturday: a week ends within the day, and the audits were in the night."""

UNTIL = NOW + timedelta(hours=24)
ZONES = ("UTC", "Asia/Tokyo", "America/Lima", "Asia/Kathmandu", "Pacific/Kiritimati", "America/St_Johns")


def town(store: Store, people: int = 12) -> None:
    """Add people of many zones who said something on the last days; each third left an answer."""
    for number in range(people):
        name = f"p{number:03}"
        add_person(store, name, zone=ZONES[number % len(ZONES)])
        for day in range(1 + number % 4):
            say(store, name, NOW - timedelta(days=day, hours=number % 5))
        if number % 3 == 0:
            remember(store, name, f"m-{name}", "2026-11-20T10:00:00Z", "they like tea")


def counted(batches: list[Batch]) -> Counter[tuple[str, date]]:
    """Return the numbers by kind and date."""
    found: Counter[tuple[str, date]] = Counter()
    for one in batches:
        found[one.kind, one.on] += one.number
    return found


def planned(store: Store) -> list[Batch]:
    fold_stream(store)
    with store.read() as connection:
        return list(due_work(connection, NOW, UNTIL, 3).batches)


def found_by_looks(store: Store) -> Counter[tuple[str, date]]:
    """Look every four hours of those to come; return every row of a dated kind that was ever to be worked on."""
    dated = [kind for kind in KINDS.values() if kind.cadence.dated]
    found: dict[int, tuple[str, date]] = {}
    moment = NOW
    while moment <= UNTIL:
        for kind in dated:
            enrol(store, kind, moment, 3)
        with store.read() as connection:
            rows = connection.execute(
                select(ledger.c.id, ledger.c.kind, ledger.c.on).where(ledger.c.state.in_((DUE, DEFERRED)))
            )
            found |= {row.id: (row.kind, row.on) for row in rows}
        moment += timedelta(hours=4)
    return Counter(found.values())


def test_it_counts_what_the_looks_of_the_coming_day_find(store: Store) -> None:
    town(store)
    mine = {key: n for key, n in counted(planned(store)).items() if KINDS[key[0]].cadence.dated}
    assert mine == found_by_looks(store)
    assert {kind for kind, _ in mine} >= {"daily", "weekly", "mantra", "relationship_questions", "persona_reassessment"}


def test_planning_writes_no_row(store: Store) -> None:
    town(store, 6)
    planned(store)
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(ledger)).scalar_one() == 0


def test_each_comes_due_by_the_persons_own_clock(store: Store) -> None:
    for zone in ("Asia/Tokyo", "America/Lima"):
        add_person(store, zone, zone=zone)
        say(store, zone, NOW - timedelta(hours=2))
    due = {one.zone: one.since for one in planned(store) if one.kind == "daily"}
    assert due == {
        "Asia/Tokyo": parse_instant("2026-11-21T15:00:00Z"),
        "America/Lima": parse_instant("2026-11-22T05:00:00Z"),
    }


def test_zones_of_one_clock_are_one_group_but_not_across_the_date_line(store: Store) -> None:
    for zone in ("Europe/Berlin", "Europe/Madrid", "Pacific/Kiritimati", "Pacific/Honolulu"):
        add_person(store, zone, zone=zone)
        say(store, zone, NOW - timedelta(hours=2))
    dailies = [one for one in planned(store) if one.kind == "daily"]
    assert sorted((one.zone, one.on.day, one.number) for one in dailies) == [
        ("Europe/Berlin", 21, 2),
        ("Pacific/Honolulu", 21, 1),
        ("Pacific/Kiritimati", 22, 1),
    ]


def test_what_is_enrolled_what_waits_and_what_is_put_off_is_counted_once(store: Store) -> None:
    town(store)
    for kind in KINDS.values():
        enrol(store, kind, NOW, 3)
    before = counted(planned(store))
    with store.write() as connection:
        some = select(ledger.c.id).where(ledger.c.kind == "daily").order_by(ledger.c.id).limit(3)
        connection.execute(
            update(ledger)
            .where(ledger.c.id.in_(some))
            .values(state=DEFERRED, reason="over_budget", ready_at=NOW + timedelta(hours=2, minutes=7))
        )
    after = planned(store)
    assert counted(after) == before
    later = [one for one in after if one.kind == "daily" and one.at == NOW + timedelta(hours=2, minutes=15)]
    assert sum(one.number for one in later) == 3
    assert any(one.behind for one in after if one.kind == "mantra")


def test_who_moved_is_counted_on_their_own_clock(store: Store) -> None:
    add_person(store, "mo", zone="Asia/Tokyo")
    with store.write() as connection:
        connection.execute(
            insert(user_statements).values(user_id="mo", since=NOW - timedelta(days=2), name="Mo", zone="America/Lima")
        )
        connection.execute(update(users).values(zone="America/Lima", moves=1))
    say(store, "mo", NOW - timedelta(hours=2))
    (daily,) = [one for one in planned(store) if one.kind == "daily"]
    assert (daily.number, daily.since) == (1, parse_instant("2026-11-22T05:00:00Z"))
    assert sum(one.number for one in planned(store) if one.kind == "mantra") == 1


def test_paused_kinds_people_and_bad_zones_are_left_out_and_said(store: Store) -> None:
    town(store, 12)
    add_person(store, "nowhere", zone="Atlantis/Capital")
    say(store, "nowhere", NOW - timedelta(days=1))
    with store.write() as connection:
        pause(connection, kind="weekly", user_id=None, because="PRIVATE", now=NOW - timedelta(hours=1))
        pause(connection, kind=None, user_id="p000", because="PRIVATE", now=NOW - timedelta(hours=1))
    fold_stream(store)
    with store.read() as connection:
        due = due_work(connection, NOW, UNTIL, 3)
    assert (due.kinds_on_hold, due.people_on_hold) == (("weekly",), 1)
    assert (due.bad_zones, due.people_in_bad_zones) == (("Atlantis/Capital",), 1)
    numbers = Counter(one.kind for one in due.batches for _ in range(one.number))
    with store.write() as connection:
        connection.execute(users.delete().where(users.c.id.in_(("p000", "nowhere"))))
    with store.read() as connection:
        alone = due_work(connection, NOW, UNTIL, 3)
    assert numbers == Counter(one.kind for one in alone.batches for _ in range(one.number))
    assert "weekly" not in numbers


def test_unread_words_are_due_by_activity_and_not_where_the_daily_reads_them_first(store: Store) -> None:
    for name in ("ana", "bo"):
        add_person(store, name, zone="America/Lima")
        say(store, name, NOW - timedelta(minutes=1))
    fold_stream(store)
    with store.write() as connection:
        soon = NOW + timedelta(hours=2, minutes=7)
        connection.execute(update(cadences).where(cadences.c.user_id == "ana").values(due_at=soon))
        end_of_day = parse_instant("2026-11-22T05:00:00Z")
        connection.execute(update(cadences).where(cadences.c.user_id == "bo").values(due_at=end_of_day))
    found = [(one.number, one.since) for one in planned(store) if one.kind == "adaptive"]
    assert found == [(1, NOW + timedelta(hours=2, minutes=15))]


def test_a_wish_is_due_at_its_time(store: Store) -> None:
    add_person(store, "ana")
    at = NOW + timedelta(hours=3)
    wish = {"user_id": "ana", "kind": "one_off", "cause": {"rule": "one_off"}, "created_at": NOW}
    with store.write() as connection:
        rows = [{"id": "w1", "due_at": at}, {"id": "w2", "due_at": UNTIL + timedelta(hours=1)}]
        connection.execute(insert(reflection_one_offs), [wish | row for row in rows])
    assert [(one.kind, one.number, one.since) for one in planned(store)] == [("one_off", 1, at)]


def test_an_empty_installation_has_nothing_to_do(store: Store) -> None:
    assert planned(store) == []


def test_days_that_are_not_over_count_by_the_middle_of_the_last_ones(store: Store) -> None:
    for number in range(10):
        add_person(store, f"p{number}")
        for day in range(1, 9):
            say(store, f"p{number}", NOW - timedelta(days=day))
    enrol(store, DAILY, NOW, 20)
    run_cohort(store, kind=DAILY)
    say(store, "p0", NOW - timedelta(hours=1))
    fold_stream(store)
    with store.read() as connection:
        due = due_work(connection, NOW, UNTIL, 3)
        batches = with_likely(connection, due, NOW, UNTIL)
    tonight = [one for one in batches if one.kind == "daily" and one.on == NOW.date()]
    assert (sum(one.number for one in tonight), sum(one.likely for one in tonight)) == (10, 9)
    assert sum(one.likely for one in batches if one.kind == "mantra") == 9
