"""Claims: one direction, one saga a person at a time and in their order, a lease, an epoch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from selo_dagster.sagas.claim import PARKED_AFTER_LOST, held_by, renew, take_back_expired, take_back_from
from selo_dagster.sagas.journal import Token
from selo_dagster.sagas.start import start
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.sagas.builders import DIAMOND, LINE, Room


@pytest.fixture
def room(store: Store) -> Room:
    """Ana's."""
    return Room(store)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """PostgreSQL only: many connections that really write at the same time."""
    opened = Store(postgres_url, pool_size=10)
    yield opened
    opened.close()


def ids(tokens: list[Token]) -> list[str]:
    return [saga_id for saga_id, _ in tokens]


def test_a_persons_sagas_come_one_after_the_other_whatever_their_type(room: Room) -> None:
    first, second, third = room.start(LINE), room.start(DIAMOND), room.start(LINE)
    assert room.claimable(DIAMOND) == 0
    assert ids(room.claim(DIAMOND)) == []
    room.forward(LINE)
    assert (room.state(first), room.state(third)) == ("completed", "pending")
    assert ids(room.claim(LINE)) == []
    room.forward(DIAMOND)
    room.forward(LINE)
    assert [room.state(saga_id) for saga_id in (first, second, third)] == ["completed"] * 3


def test_one_run_takes_one_saga_of_each_person_in_the_order_in_which_they_came(room: Room) -> None:
    people = room.people(3)
    firsts = [room.start(LINE, name) for name in reversed(people)]
    for name in people:
        room.start(LINE, name)
    assert ids(room.claim(LINE)) == firsts
    assert room.claim(LINE, run_id="run-2") == []
    assert sorted(room.locks().values()) == sorted(firsts)


def test_a_claim_takes_no_more_than_it_is_told_and_only_those_that_are_named(room: Room) -> None:
    started = [room.start(LINE, name) for name in room.people(5)]
    assert ids(room.claim(LINE, limit=2)) == started[:2]
    assert ids(room.claim(LINE, ids=[started[4], started[0]])) == [started[4]]


def test_a_claim_names_its_run_and_raises_the_epoch(room: Room) -> None:
    saga_id = room.start(LINE)
    assert room.claim(LINE, run_id="run-7") == [(saga_id, 1)]
    row = room.row(saga_id)
    assert (row.state, row.run_id, row.epoch, row.progressed) == ("running", "run-7", 1, False)
    assert row.lease_until - row.started_at > timedelta(seconds=50)
    with room.store.read() as connection:
        assert held_by(connection, "run-7") == {FORWARD: [(saga_id, 1)], COMPENSATE: []}
        assert held_by(connection, "run-8") == {FORWARD: [], COMPENSATE: []}


def test_what_waits_to_be_undone_is_not_claimed_forward_and_the_other_way_round(room: Room) -> None:
    people = room.people(2)
    forward, back = room.start(LINE, people[0]), room.start(LINE, people[1], fail_at={"one": "error"})
    room.forward(LINE)
    room.act("compensate", forward)
    room.start(LINE)
    assert len(room.claim(LINE, FORWARD)) == 1
    assert sorted(ids(room.claim(LINE, COMPENSATE))) == sorted([forward, back])


def test_another_saga_of_a_person_waits_until_the_first_is_completed_or_undone(room: Room) -> None:
    first, second = room.start(LINE, fail_at={"two": "error"}, undo_fail_at={"one": "refused"}), room.start(LINE)
    room.forward(LINE)
    assert room.claim(LINE) == []
    assert room.back(LINE) == {"compensation_incomplete": 1}
    assert room.claim(LINE) == []
    room.act("waive", first, "one")
    room.back(LINE)
    assert ids(room.claim(LINE)) == [second]


def test_a_saga_is_not_claimed_before_its_time(room: Room) -> None:
    saga_id = room.start(LINE, fail_at={"one": "transient"}, times=1)
    room.forward(LINE)
    at = room.row(saga_id).next_attempt_at
    assert at > room.clock.now()
    assert (room.claimable(LINE), room.claim(LINE)) == (0, [])
    room.clock.instant = at
    assert (room.claimable(LINE), ids(room.claim(LINE))) == (1, [saga_id])
    assert room.row(saga_id).next_attempt_at is None


def test_a_lease_that_ran_out_gives_the_saga_to_the_next_in_the_same_direction(room: Room) -> None:
    forward = room.start(LINE)
    assert ids(room.claim(LINE)) == [forward]
    assert room.expire() == 1
    assert room.row(forward).state == "running"
    assert room.claim(LINE, COMPENSATE, "run-2") == []
    assert room.claim(LINE, run_id="run-2") == [(forward, 2)]


def test_a_heartbeat_keeps_what_a_run_holds_and_nothing_else(room: Room) -> None:
    mine, other = (room.start(LINE, name) for name in room.people(2))
    room.claim(LINE, ids=[mine], lease_s=0.0)
    room.claim(LINE, run_id="run-2", ids=[other], lease_s=0.0)
    with room.store.write() as connection:
        connection.execute(update(sagas).values(lease_until=database_now(-1)))
        assert renew(connection, "run-1", 60.0) == 1
        assert take_back_expired(connection) == 1
    assert (room.row(mine).lease_until is None, room.row(other).lease_until is None) == (False, True)


def test_a_heartbeat_does_not_bring_back_what_was_lost(room: Room) -> None:
    room.start(LINE)
    room.claim(LINE)
    room.expire()
    with room.store.write() as connection:
        assert renew(connection, "run-1", 60.0) == 0


def test_what_ended_runs_hold_is_taken_back_at_once(room: Room) -> None:
    mine, other = (room.start(LINE, name) for name in room.people(2))
    room.claim(LINE, ids=[mine])
    room.claim(LINE, run_id="run-2", ids=[other])
    with room.store.write() as connection:
        assert take_back_from(connection, ["run-1", "run-0"]) == 1
        assert take_back_from(connection, []) == 0
    assert ids(room.claim(LINE, run_id="run-3")) == [mine]


def test_a_saga_that_was_lost_twice_is_claimed_alone_and_after_three_times_is_parked(room: Room) -> None:
    killer = room.start(LINE)
    others = [room.start(LINE, name) for name in room.people(2)]
    for _ in range(2):
        room.claim(LINE, ids=[killer])
        room.expire()
    assert ids(room.claim(LINE)) == others
    assert ids(room.claim(LINE, run_id="run-2", alone=True)) == [killer]
    room.expire()
    row = room.row(killer)
    assert (row.state, row.reason, row.lost) == ("parked", "lost_claims", PARKED_AFTER_LOST)
    assert room.alerts(killer) == ["parked"]
    assert room.claim(LINE, alone=True, ids=[killer]) == []


def test_a_claim_that_came_further_is_not_counted_as_lost(room: Room) -> None:
    saga_id = room.start(LINE)
    for number, step in enumerate(("look", "one", "two")):
        tokens = room.claim(LINE, run_id=f"run-{number}")
        room.step(LINE, step, tokens, f"run-{number}")
        room.expire()
        assert (room.row(saga_id).lost, room.state(saga_id)) == (0, "running")


def test_a_saga_under_way_can_go_on_although_an_earlier_one_of_the_person_was_asked_to_be_undone(room: Room) -> None:
    first = room.start(LINE)
    room.forward(LINE)
    second = room.start(LINE, fail_at={"one": "transient"}, times=1)
    room.forward(LINE)
    assert room.state(second) == "waiting"
    room.act("compensate", first)
    room.work_off(LINE)
    assert (room.state(first), room.state(second)) == ("compensated", "completed")


def test_a_saga_under_way_can_go_back_although_an_earlier_one_of_the_person_was_started_anew(room: Room) -> None:
    first = room.start(LINE)
    room.act("cancel", first)
    second = room.start(LINE, fail_at={"two": "error"})
    room.forward(LINE)
    assert room.act("retry", first) == ("pending", True)
    room.work_off(LINE)
    assert (room.state(first), room.state(second)) == ("completed", "compensated")


def test_a_saga_that_was_taken_back_can_go_on_although_an_earlier_one_became_visible_late(
    postgres_store: Store,
) -> None:
    room = Room(postgres_store)
    with postgres_store.write() as slow:
        # Its place in the queue is given when it is asked for, and it is seen when its caller commits.
        earlier = start(
            slow, LINE, user_id="ana", key="slow", given={}, now=room.clock.now(), new_id=lambda: "e" * 32
        ).id
        later = room.start(DIAMOND)
        assert ids(room.claim(DIAMOND)) == [later]
    room.expire()
    room.work_off(DIAMOND)
    room.work_off(LINE)
    assert (room.state(later), room.state(earlier)) == ("completed", "completed")


def test_two_claimers_never_hold_two_sagas_of_one_person(postgres_store: Store) -> None:
    room = Room(postgres_store)
    people = room.people(20)
    for _ in range(3):
        for name in people:
            room.start(LINE, name)
    together = threading.Barrier(4)
    found: dict[str, list[str]] = {}

    def work(run_id: str) -> None:
        together.wait()
        mine: list[str] = []
        while batch := room.claim(LINE, run_id=run_id, limit=3):
            mine += ids(batch)
        found[run_id] = mine

    threads = [threading.Thread(target=work, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [saga_id for mine in found.values() for saga_id in mine]
    assert len(taken) == len(set(taken)) == 20
    assert sorted(room.row(saga_id).user_id for saga_id in taken) == people
    # It was the first of each.
    assert sorted(taken) == sorted(row.id for row in room.rows()[:20])
