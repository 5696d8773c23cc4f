"""A claim is held by one run at a time, and whoever lost it changes nothing."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select, update

from selo_dagster.reflections.claim import (
    Claim,
    begin_attempts,
    claim,
    ledger,
    release,
    renew,
    take_back_expired,
)
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.settle import Cost, settle_failed, settle_skipped
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from selo_dagster.store.waiting import bound_waits
from tests.support.fakes import NOW, add_person, run_cohort, say


def with_people(store: Store, number: int) -> None:
    for index in range(number):
        add_person(store, f"p{index:02}")
        say(store, f"p{index:02}", "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)


def claimed(store: Store, run_id: str, limit: int = 100, *, lease_s: float = 30, alone: bool = False) -> list[Claim]:
    with store.write() as connection:
        return claim(connection, DAILY, run_id=run_id, now=NOW, lease_s=lease_s, limit=limit, alone=alone)


def begun(store: Store, claims: list[Claim], run_id: str) -> list[Claim]:
    with store.write() as connection:
        return begin_attempts(connection, claims, run_id)


def expire(store: Store) -> int:
    """Let every lease run out and take the rows back."""
    with store.write() as connection:
        connection.execute(update(ledger).values(lease_until=database_now(-1)))
        return take_back_expired(connection, DAILY, NOW)


def state_of(store: Store) -> list[tuple[str, int, int]]:
    with store.read() as connection:
        return [(row.state, row.lost, row.attempts) for row in connection.execute(select(ledger).order_by(ledger.c.id))]


def test_rows_are_claimed_by_one_of_many_at_the_same_time(store: Store) -> None:
    with_people(store, 60)
    found: list[Claim] = []

    def work(run_id: str) -> None:
        while batch := claimed(store, run_id, limit=7):
            found.extend(batch)

    threads = [threading.Thread(target=work, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.id for one in found) == sorted({one.id for one in found})
    assert len(found) == 60


def test_a_lease_that_ran_out_gives_the_row_to_the_next_with_a_higher_epoch(store: Store) -> None:
    with_people(store, 1)
    (first,) = claimed(store, "run-1")
    assert claimed(store, "run-2") == []
    assert expire(store) == 1
    (second,) = claimed(store, "run-2")
    assert (first.epoch, second.epoch) == (1, 2)


def test_a_heartbeat_keeps_the_lease(store: Store) -> None:
    with_people(store, 1)
    claimed(store, "run-1", lease_s=0.0)
    with store.write() as connection:
        assert renew(connection, "run-1", 30.0) == 1
        assert take_back_expired(connection, DAILY, NOW) == 0


@pytest.mark.postgres
def test_a_heartbeat_does_not_wait_for_a_row_that_is_being_changed(postgres_url: str) -> None:
    store = Store(postgres_url)
    with_people(store, 3)
    first, *_ = claimed(store, "run-1", lease_s=0.0)
    with store.write() as settling:
        settling.execute(select(ledger.c.id).where(ledger.c.id == first.id).with_for_update())
        with store.write() as connection:
            bound_waits(connection, lock_s=0.05, silence_s=30.0)
            assert renew(connection, "run-1", 30.0) == 2
            assert take_back_expired(connection, DAILY, NOW) == 0
    store.close()


def test_whoever_lost_the_claim_settles_nothing(store: Store) -> None:
    with_people(store, 1)
    (old,) = begun(store, claimed(store, "run-1"), "run-1")
    expire(store)
    (new,) = begun(store, claimed(store, "run-2"), "run-2")
    with store.write() as connection:
        assert settle_skipped(connection, old, "nothing_new", cost=Cost(), now=NOW) is None
        assert settle_failed(connection, old, "timeout", retry_at=NOW, cost=Cost(), now=NOW) is None
        assert release(connection, [old]) == 0
        assert settle_skipped(connection, new, "nothing_new", cost=Cost(), now=NOW) is not None


def test_an_attempt_whose_claim_was_lost_is_lost_and_not_failed(store: Store) -> None:
    with_people(store, 2)
    claims = claimed(store, "run-1")
    begun(store, claims[:1], "run-1")
    expire(store)
    with store.read() as connection:
        (attempt,) = connection.execute(select(reflection_attempts)).all()
    assert attempt.outcome == "lost"
    assert state_of(store) == [("due", 1, 1), ("due", 0, 0)]


def test_a_run_that_dies_before_it_begins_anything_loses_all_that_it_held(store: Store) -> None:
    with_people(store, 3)
    claimed(store, "run-1", limit=2)
    begun(store, claimed(store, "run-2"), "run-2")
    expire(store)
    assert state_of(store) == [("due", 1, 0), ("due", 1, 0), ("due", 1, 1)]


def test_somebody_lost_twice_is_claimed_alone_and_after_three_times_is_dead(store: Store) -> None:
    with_people(store, 2)
    for number in range(2):
        killer = claimed(store, f"run-{number}", limit=1)
        begun(store, killer, f"run-{number}")
        expire(store)
    others = claimed(store, "run-2")
    assert [one.user_id for one in others] == ["p01"]
    with store.write() as connection:
        release(connection, others)
    (alone,) = claimed(store, "run-3", alone=True)
    assert alone.user_id == "p00"
    begun(store, [alone], "run-3")
    expire(store)
    assert state_of(store) == [("dead", 3, 3), ("due", 0, 0)]


def test_a_cohort_takes_somebody_lost_twice_only_with_nobody_beside_them(store: Store) -> None:
    with_people(store, 5)
    with store.write() as connection:
        connection.execute(update(ledger).where(ledger.c.user_id == "p02").values(lost=2))
    settled = run_cohort(store)
    assert {one.user_id: one.outcome for one in settled} == {f"p{index:02}": "done" for index in range(5)}
    with store.read() as connection:
        order = connection.execute(
            select(ledger.c.user_id)
            .join(reflection_attempts, reflection_attempts.c.ledger_id == ledger.c.id)
            .order_by(reflection_attempts.c.id)
        ).scalars()
        assert list(order)[-1] == "p02"


def test_a_released_row_is_due_again_and_its_attempt_is_not_held_against_it(store: Store) -> None:
    with_people(store, 1)
    held = begun(store, claimed(store, "run-1"), "run-1")
    with store.write() as connection:
        assert release(connection, held) == 1
        outcomes = connection.execute(select(reflection_attempts.c.outcome, func.count()).group_by("outcome")).all()
    assert [tuple(row) for row in outcomes] == [("released", 1)]
    assert state_of(store) == [("due", 0, 1)]
