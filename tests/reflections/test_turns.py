"""Somebody with much to do does not delay the others, and neither does a tenant."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import ColumnElement, select, update

from selo_dagster.clock import BEGINNING
from selo_dagster.people.local_days import ZoneSpan
from selo_dagster.people.tables import users
from selo_dagster.reflections.cadences.by_cause import Wanted, ask_all
from selo_dagster.reflections.claim import Claim, OldestFirst, claim
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.tables import reflection_ledger as ledger
from selo_dagster.reflections.turns import LONGEST_PAUSE, Turns
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, add_person, run_cohort, say

ONE_OFF = KINDS["one_off"]
UTC = (ZoneSpan(since=BEGINNING, zone="UTC"),)


def somebody(store: Store, user_id: str, *, tenant: str | None = None) -> None:
    add_person(store, user_id)
    say(store, user_id, "2026-11-22T10:00:00Z")
    with store.write() as connection:
        connection.execute(update(users).where(users.c.id == user_id).values(tenant=tenant))


def wishes(store: Store, user_id: str, number: int, *, name: str = "") -> None:
    """Ask for as many one-offs of one person's, all at once. name: tells them from others."""
    cause = {"rule": "one_off", "memories": [], "context": {"why": "a storm"}}
    wanted = [Wanted(user_id, UTC, f"{user_id}-{name}{place:04}", NOW, cause, NOW) for place in range(number)]
    with store.write() as connection:
        assert ask_all(connection, ONE_OFF, wanted, NOW) == [None] * number


def claimed(store: Store, turns: Turns, limit: int = 10, *, order: OldestFirst | None = None) -> list[Claim]:
    with store.write() as connection:
        return claim(connection, ONE_OFF, run_id="run-1", now=NOW, lease_s=30, limit=limit, turns=turns, order=order)


def whose(claims: list[Claim]) -> Counter[str]:
    return Counter(one.user_id for one in claims)


@pytest.fixture
def storm(store: Store) -> Store:
    """Ana asked for forty before anybody else asked for one."""
    for name in ("ana", *(f"p{number}" for number in range(6))):
        somebody(store, name)
    enrol(store, DAILY, NOW, 3)
    wishes(store, "ana", 40)
    for number in range(6):
        wishes(store, f"p{number}", 1)
    return store


@pytest.mark.parametrize("order", [None, OldestFirst()], ids=["newest-first", "after-an-outage"])
def test_a_storm_of_one_person_leaves_room_for_the_others(storm: Store, order: OldestFirst | None) -> None:
    assert whose(claimed(storm, Turns(4), order=order)) == {"ana": 4, **{f"p{number}": 1 for number in range(6)}}


def test_whoever_has_much_to_do_gets_all_of_it_in_the_end(storm: Store) -> None:
    turns, found = Turns(4), []
    while batch := claimed(storm, turns):
        found += batch
    assert whose(found) == {"ana": 40, **{f"p{number}": 1 for number in range(6)}}
    assert len({one.id for one in found}) == 46


def test_what_was_lost_often_stands_before_nothing_else(storm: Store) -> None:
    with storm.write() as connection:
        first = (
            select(ledger.c.id)
            .where(ledger.c.user_id == "ana", ledger.c.kind == "one_off")
            .order_by(ledger.c.id)
            .limit(30)
        )
        connection.execute(update(ledger).where(ledger.c.id.in_(first)).values(lost=2))
    assert whose(claimed(storm, Turns(4)))["ana"] == 4


def test_what_is_not_ready_yet_stands_before_nothing_else(storm: Store) -> None:
    with storm.write() as connection:
        first = (
            select(ledger.c.id)
            .where(ledger.c.user_id == "ana", ledger.c.kind == "one_off")
            .order_by(ledger.c.id)
            .limit(39)
        )
        connection.execute(update(ledger).where(ledger.c.id.in_(first)).values(ready_at=NOW + timedelta(hours=1)))
    assert whose(claimed(storm, Turns(4)))["ana"] == 1


def test_an_explicit_request_takes_its_own_rows_at_once(storm: Store) -> None:
    with storm.write() as connection:
        connection.execute(update(ledger).where(ledger.c.user_id == "ana").values(request_id="mine"))
        mine = claim(connection, ONE_OFF, run_id="r", now=NOW, lease_s=30, limit=30, request_id="mine", turns=Turns(4))
    assert whose(mine) == {"ana": 30}


def test_a_run_makes_the_others_before_it_goes_on_with_the_storm(storm: Store) -> None:
    model = FakeModel()
    done = run_cohort(storm, model, kind=ONE_OFF, chunk=10, concurrency=1)
    assert len(done) == 46
    made_for = [request.subject for request in model.asked]
    assert {*made_for[:10]} == {"ana", *(f"p{number}" for number in range(6))}


def test_dates_of_one_person_are_one_each_and_need_no_turn(store: Store) -> None:
    add_person(store, "ana")
    for day in range(15, 23):
        say(store, "ana", f"2026-11-{day}T10:00:00Z")
    enrol(store, DAILY, NOW, 30)
    with store.write() as connection:
        found = claim(connection, DAILY, run_id="r", now=NOW, lease_s=30, limit=50, turns=Turns(1))
    assert len(found) == 8


@pytest.fixture
def tenants(store: Store) -> Store:
    """One tenant with much to do, two with little, and somebody who belongs to nobody."""
    for number in range(30):
        somebody(store, f"big{number:02}", tenant="big")
    for name, tenant in (("ana", "small"), ("ben", "tiny"), ("cleo", None)):
        somebody(store, name, tenant=tenant)
    enrol(store, DAILY, NOW, 3)
    for number in range(30):
        wishes(store, f"big{number:02}", 2)
    for name in ("ana", "ben", "cleo"):
        wishes(store, name, 3)
    return store


def of_tenants(claims: list[Claim]) -> Counter[str]:
    return Counter(one.user_id[:3] for one in claims)


def test_tenants_have_equal_parts_while_each_has_something_to_do(tenants: Store) -> None:
    turns = Turns(4)
    assert of_tenants(claimed(tenants, turns, 12)) == {"big": 3, "ana": 3, "ben": 3, "cle": 3}
    found = claimed(tenants, turns, 12)
    assert of_tenants(found)["big"] == len(found) > 0
    assert of_tenants(claimed(tenants, turns, 12)) == {"big": 12}


def test_more_tenants_than_rows_at_once_come_one_after_the_other(tenants: Store) -> None:
    turns, found = Turns(4), []
    for _ in range(2):
        found += claimed(tenants, turns, 2)
    assert of_tenants(found) == {"big": 1, "ana": 1, "ben": 1, "cle": 1}


@pytest.mark.parametrize("tenant", ["small", None, "new"])
def test_who_had_nothing_for_a_moment_has_an_equal_part_again(tenants: Store, tenant: str | None) -> None:
    for number in range(30):
        wishes(tenants, f"big{number:02}", 4, name="more")
    turns = Turns(4)
    while set(of_tenants(claimed(tenants, turns))) != {"big"}:
        pass
    somebody(tenants, "dora", tenant=tenant)
    enrol(tenants, DAILY, NOW, 3)
    wishes(tenants, "dora", 12)
    found = [of_tenants(claimed(tenants, turns)) for _ in range(LONGEST_PAUSE + 2)]
    first = next(place for place, one in enumerate(found) if set(one) != {"big"})
    # Somebody takes no more than four at once.
    assert found[first] == found[first + 1] == {"big": 6, "dor": 4}


def test_nothing_is_left_while_somebody_out_of_turn_has_something(tenants: Store) -> None:
    turns = Turns(4)
    while claimed(tenants, turns, 50):
        pass
    wishes(tenants, "big00", 1, name="late")
    assert of_tenants(claimed(tenants, turns)) == {"big": 1}
    wishes(tenants, "ana", 1, name="late")
    assert of_tenants(claimed(tenants, turns)) == {"ana": 1}


def test_who_has_nothing_is_looked_for_ever_more_seldom_and_all_at_once(tenants: Store) -> None:
    turns = Turns(4)
    asked: list[int] = []

    def only_big(_: int, whose: ColumnElement[bool]) -> list[int]:
        asked[-1] += 1
        return [1] if "big" in whose.compile().params.values() else []

    with tenants.read() as connection:
        for _ in range(28):
            asked.append(0)
            assert turns.choose(connection, 10, only_big) == [1]
    looks = [place for place, number in enumerate(asked) if number > 1]
    assert (asked[0], looks) == (4, [0, 1, 4, 9, 18, 27])


@pytest.mark.parametrize("limit", [1, 50])
def test_every_row_of_every_tenant_is_claimed_once(tenants: Store, limit: int) -> None:
    found: list[Claim] = []

    def work() -> None:
        turns = Turns(4)
        while batch := claimed(tenants, turns, limit):
            found.extend(batch)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of_tenants(found) == {"big": 60, "ana": 3, "ben": 3, "cle": 3}
    assert len({one.id for one in found}) == 69
