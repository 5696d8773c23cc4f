"""A breaker opens after failures in a row, lets one probe through, recovers by degrees, and is everybody's."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from selo_dagster.llm.breaker import (
    DRAINS_FOR_S,
    FAILURES_TO_OPEN,
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    Breaker,
    Place,
    Standing,
    heard,
)
from selo_dagster.llm.endpoint import endpoint_at
from selo_dagster.llm.errors import Fault, ModelError
from selo_dagster.llm.tables import CLOSED, HALF_OPEN, OPEN, model_endpoints
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support.fakes import NOW

BREAKER = Breaker(endpoint_at("http://model.example:8080/v1"), slots=4)


def standing(store: Store, breaker: Breaker = BREAKER) -> Standing:
    with store.read() as connection:
        return breaker.standing(connection)


def fail(store: Store, times: int = 1, who: str = "run-1", place: Place | None = None) -> Standing:
    with store.write() as connection:
        return [BREAKER.failed(connection, who, place) for _ in range(times)][-1]


def answer(store: Store) -> Standing:
    with store.write() as connection:
        return BREAKER.answered(connection)


def probe(store: Store, who: str = "run-1", **how: Any) -> bool:
    with store.write() as connection:
        return BREAKER.take_probe(connection, who, 60.0, **how)


def change(store: Store, **values: Any) -> None:
    with store.write() as connection:
        connection.execute(update(model_endpoints).values(**values))


def its_time_has_come(store: Store) -> None:
    change(store, next_probe_at=database_now(-1))


def test_an_endpoint_of_which_nothing_was_heard_is_closed(store: Store) -> None:
    assert standing(store) == Standing()
    assert answer(store) == Standing()
    with store.read() as connection:
        assert connection.execute(select(model_endpoints)).all() == []


def test_it_opens_after_failures_in_a_row_and_an_answer_between_them_begins_anew(store: Store) -> None:
    assert fail(store, FAILURES_TO_OPEN - 1).state == CLOSED
    assert answer(store).failures == 0
    assert fail(store, FAILURES_TO_OPEN - 1).state == CLOSED
    opened = fail(store)
    assert (opened.state, opened.times_opened, opened.wait_s) == (OPEN, 1, FIRST_WAIT_S)
    assert not opened.probe_due
    assert opened.opened_at is not None
    assert 0 <= opened.down_s < 60


def test_failures_of_two_processes_that_hear_the_same_open_it_once(store: Store) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        fail(store, 2, f"run-{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = standing(store)
    assert (found.state, found.times_opened, found.failures, found.probes) == (OPEN, 1, FAILURES_TO_OPEN, 0)


def test_one_may_probe_when_its_time_has_come_and_another_when_its_lease_has_ended(store: Store) -> None:
    fail(store, FAILURES_TO_OPEN)
    assert not probe(store)
    its_time_has_come(store)
    assert standing(store).probe_due
    together = threading.Barrier(6)
    taken: list[str] = []

    def work(who: str) -> None:
        together.wait()
        if probe(store, who):
            taken.append(who)

    threads = [threading.Thread(target=work, args=(f"run-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert not standing(store).probe_due
    assert not probe(store, "late", at_once=True)
    change(store, probe_until=database_now(-1))
    assert standing(store).probe_due
    assert probe(store, "late")


def test_whoever_waits_for_it_may_probe_at_once_and_give_the_probe_back(store: Store) -> None:
    fail(store, FAILURES_TO_OPEN)
    assert probe(store, "by-hand", at_once=True)
    with store.write() as connection:
        BREAKER.give_back(connection, "somebody else")
    assert not probe(store, "other", at_once=True)
    with store.write() as connection:
        BREAKER.give_back(connection, "by-hand")
    assert probe(store, "other", at_once=True)


def test_each_probe_that_fails_doubles_the_wait_up_to_a_bound_and_is_remembered(store: Store) -> None:
    fail(store, FAILURES_TO_OPEN)
    waits = []
    for number in range(8):
        its_time_has_come(store)
        assert probe(store)
        waits.append(fail(store, place=Place(NOW, number)).wait_s)
    assert waits[:3] == [FIRST_WAIT_S * 2, FIRST_WAIT_S * 4, FIRST_WAIT_S * 8]
    assert waits[-1] == LONGEST_WAIT_S
    found = standing(store)
    assert (found.probes, found.tried, found.times_opened) == (8, Place(NOW, 7), 1)
    # A call from before it opened says nothing new.
    assert fail(store, who="straggler").probes == 8


def test_it_recovers_by_degrees_and_one_failure_on_the_way_opens_it_again(store: Store) -> None:
    fail(store, FAILURES_TO_OPEN)
    begun = standing(store).opened_at
    found = answer(store)
    assert (found.state, found.room) == (HALF_OPEN, 1)
    assert answer(store).room == 2
    again = fail(store, place=Place(NOW, 3))
    assert (again.state, again.wait_s, again.times_opened, again.opened_at) == (OPEN, FIRST_WAIT_S * 2, 1, begun)
    assert [(one.state, one.room) for one in (answer(store) for _ in range(4))] == [
        (HALF_OPEN, 1),
        (HALF_OPEN, 2),
        (HALF_OPEN, 3),
        (CLOSED, 0),
    ]
    found = standing(store)
    assert (found.failures, found.tried, found.draining) == (0, None, True)
    change(store, since=database_now(-DRAINS_FOR_S - 1))
    assert not standing(store).draining
    assert fail(store, FAILURES_TO_OPEN).times_opened == 2


def test_an_endpoint_is_its_address_without_what_is_secret(store: Store) -> None:
    plain = endpoint_at("https://api.example/v1")
    assert endpoint_at("https://somebody:hunter2@API.example/v1/?key=hunter2#x") == plain
    assert plain.host == "api.example"
    assert endpoint_at("https://api.example:8443/v1").key != plain.key
    fail(store, FAILURES_TO_OPEN)
    assert standing(store, Breaker(plain, 4)).state == CLOSED


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("connection", "failed"),
        ("timeout", "failed"),
        ("server_error", "failed"),
        ("overloaded", "failed"),
        ("auth", "failed"),
        ("rate_limited", "answered"),
        ("bad_request", "answered"),
        ("context_too_long", "answered"),
        ("empty_answer", "answered"),
    ],
)
def test_only_what_concerns_everybody_counts(fault: Fault, said: str) -> None:
    assert heard(ModelError(fault)) == said


def test_a_time_out_counts_and_a_fault_of_the_program_says_nothing() -> None:
    assert heard(asyncio.TimeoutError()) == "failed"
    assert heard(TimeoutError()) == "failed"
    assert heard(ValueError("a mistake")) == "nothing"


def test_a_standing_is_by_the_databases_clock(store: Store) -> None:
    fail(store, FAILURES_TO_OPEN)
    change(store, opened_at=database_now(-600), since=database_now(-60))
    found = standing(store)
    assert 590 < found.down_s < 660
    assert 50 < found.age_s < 120
    assert found.since is not None
    assert found.opened_at is not None
    assert timedelta(seconds=530) < found.since - found.opened_at < timedelta(seconds=550)
