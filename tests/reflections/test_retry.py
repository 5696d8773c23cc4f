"""Failures are tried again when that may help, not before their time, and not for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from selo_dagster.clock import FixedClock
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.claim import begin_attempts, claim, ledger
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.dead import dead_letters, replay
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.look import look
from selo_dagster.reflections.retry import (
    LONGEST_WAIT_S,
    MAX_TRIES,
    RETRY_AFTER_CEILING_S,
    failure_of,
    may_try_again,
    next_attempt_at,
)
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, good_answer, limits, run_cohort, say, tools

Answering = Callable[[CompletionRequest], Awaitable[str]]


def raising(broken: Exception) -> Answering:
    """Return a model's behaviour that always fails."""

    async def answering(_: CompletionRequest) -> str:
        raise broken

    return answering


async def breaks_a_rule(request: CompletionRequest) -> str:
    """Answer without a theme."""
    return good_answer(request, themes=[])


def nights(store: Store, answering: Answering, number: int = 8, start: datetime = NOW) -> tuple[list[str], FakeModel]:
    """Run cohorts two hours apart; returns the outcomes."""
    clock, asked = FixedClock(start), FakeModel(answering)
    outcomes = []
    for turn in range(number):
        outcomes += [one.outcome for one in run_cohort(store, asked, run_id=f"run-{turn}", clock=clock)]
        clock.advance(timedelta(hours=2))
    return outcomes, asked


@pytest.fixture
def store(store: Store) -> Store:
    """One person with a Sunday."""
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z", "hello")
    enrol(store, DAILY, NOW, 3)
    return store


@pytest.mark.parametrize("fault", ["timeout", "connection", "rate_limited", "overloaded", "server_error"])
def test_what_may_pass_is_tried_five_times(store: Store, fault: str) -> None:
    outcomes, model = nights(store, raising(ModelError(fault)))  # type: ignore[arg-type]
    assert outcomes == ["failed"] * (MAX_TRIES - 1) + ["dead"]
    assert len(model.asked) == MAX_TRIES


@pytest.mark.usefixtures("store")
def test_r6_the_next_try_comes_when_its_back_off_is_over_and_not_before_across_restarts(store_url: str) -> None:
    """R6: n failures → the n+1st not before its back-off, across restarts: whoever looks earlier asks nobody."""
    model, now = FakeModel(raising(ModelError("connection"))), NOW
    chance = Random(11)

    def restarted(at: datetime) -> list[Settlement]:
        """Look and work as a process does that has just begun."""
        opened = Store(store_url)
        look(opened, DAILY, at, 60)
        found = run_cohort(opened, model, run_id=f"run-{at}", clock=FixedClock(at))
        opened.close()
        return found

    for failures in range(1, MAX_TRIES):
        (settled,) = restarted(now)
        ready = settled.retry_at
        assert (settled.outcome, len(model.asked)) == ("failed", failures)
        assert ready is not None
        wait = ready - now
        assert timedelta(0) < wait <= timedelta(seconds=min(60 * 2 ** (failures - 1), LONGEST_WAIT_S))
        for early in (now, now + wait * chance.random(), ready - timedelta(microseconds=1)):
            assert (restarted(early), len(model.asked)) == ([], failures)
        now = ready
    (settled,) = restarted(now)
    assert (settled.outcome, settled.retry_at, len(model.asked)) == ("dead", None, MAX_TRIES)
    assert (restarted(now + timedelta(days=30)), len(model.asked)) == ([], MAX_TRIES)


@pytest.mark.parametrize("broken", [ModelError("auth"), ModelError("bad_request"), TypeError("a bug")])
def test_what_fails_the_same_way_on_the_same_input_stops_after_two(store: Store, broken: Exception) -> None:
    outcomes, model = nights(store, raising(broken))
    assert outcomes == ["failed", "dead"]
    assert len(model.asked) == 2


def test_an_answer_that_breaks_a_rule_twice_waits_for_a_person(store: Store) -> None:
    outcomes, model = nights(store, breaks_a_rule)
    assert outcomes == ["rejected", "rejected"]
    with store.read() as connection:
        (letter,) = dead_letters(connection)
    assert (letter.user, letter.outcome, letter.codes) == ("ana", "rejected", ("missing_required_fields",))
    assert len(model.asked) == 2


def test_new_input_gives_a_failure_its_two_tries_anew(store: Store) -> None:
    clock = FixedClock(NOW)
    run_cohort(store, FakeModel(raising(ModelError("bad_request"))), clock=clock)
    say(store, "ana", "2026-11-22T11:00:00Z", "one more thing")
    clock.advance(timedelta(hours=2))
    (settled,) = run_cohort(store, FakeModel(raising(ModelError("bad_request"))), run_id="run-2", clock=clock)
    assert settled.outcome == "failed"


def looks_in_vain(store: Store, number: int) -> None:
    """Look so often at somebody whose time zone does not exist; then it is corrected."""

    def zone(name: str) -> None:
        with store.write() as connection:
            for table in (users, user_statements):
                connection.execute(update(table).values(zone=name))

    zone("Mars/Base")
    clock = FixedClock(NOW)
    for turn in range(number):
        (settled,) = run_cohort(store, run_id=f"look-{turn}", clock=clock)
        assert (settled.outcome, settled.reason) == ("deferred", "could_not_look")
        clock.advance(timedelta(minutes=2))
    zone("UTC")


def is_stopped(store: Store, number: int) -> None:
    """Stop so many runs while their model is asked."""
    for turn in range(number):
        run: list[Cohort] = []

        async def stopping(_: CompletionRequest, run: list[Cohort] = run) -> str:
            run[0].stop()
            await asyncio.Event().wait()
            return ""

        run.append(Cohort(DAILY, f"stopped-{turn}", limits(), tools(store, FakeModel(stopping)), lambda _: None))
        assert [one for batch in settlements(run[0]) for one in batch] == []


@pytest.mark.parametrize("before", [looks_in_vain, is_stopped])
def test_an_attempt_that_was_put_off_or_released_is_no_try(store: Store, before: Callable[[Store, int], None]) -> None:
    before(store, MAX_TRIES)
    with store.read() as connection:
        assert connection.execute(select(ledger.c.attempts)).scalar_one() == MAX_TRIES
    outcomes, model = nights(store, raising(ModelError("overloaded")), start=NOW + timedelta(hours=1))
    assert outcomes == ["failed"] * (MAX_TRIES - 1) + ["dead"]
    assert len(model.asked) == MAX_TRIES


def test_an_attempt_whose_claim_was_lost_is_a_try(store: Store) -> None:
    with store.write() as connection:
        begin_attempts(connection, claim(connection, DAILY, run_id="dies", now=NOW, lease_s=0.0, limit=1), "dies")
    with store.write() as connection:
        connection.execute(update(ledger).values(lease_until=database_now(-1)))
    outcomes, _ = nights(store, raising(ModelError("overloaded")))
    assert outcomes == ["failed"] * (MAX_TRIES - 2) + ["dead"]


def test_a_model_that_can_mend_its_answer_is_told_once_what_was_wrong(store: Store) -> None:
    async def mends(request: CompletionRequest) -> str:
        return good_answer(request) if request.correction else "no JSON at all"

    model = FakeModel(mends, corrigible=True)
    (settled,) = run_cohort(store, model)
    assert (settled.outcome, settled.cost.model_calls, len(model.asked)) == ("done", 2, 2)
    assert "not one JSON document" in str(model.asked[1].correction)
    assert settled.cost.output_tokens == 40


def test_a_model_that_cannot_mend_its_answer_is_told_once_and_no_more(store: Store) -> None:
    (settled,) = run_cohort(store, model := FakeModel(breaks_a_rule, corrigible=True))
    assert (settled.outcome, len(model.asked)) == ("rejected", 2)


def test_what_a_server_asked_to_wait_is_waited_at_least(store: Store) -> None:
    run_cohort(store, FakeModel(raising(ModelError("rate_limited", retry_after_s=5_000))))
    with store.read() as connection:
        ready_at = connection.execute(select(ledger.c.ready_at)).scalar_one()
    assert ready_at >= NOW + timedelta(seconds=5_000)


def test_dead_letters_are_replayed_with_all_their_tries(store: Store) -> None:
    nights(store, raising(ModelError("connection")))
    with store.read() as connection:
        letters = dead_letters(connection)
    assert [(one.user, one.outcome, one.reason, one.attempts) for one in letters] == [("ana", "dead", "connection", 5)]
    assert replay(store, letters, NOW, 3) == 1
    outcomes, _ = nights(store, raising(ModelError("connection")))
    assert outcomes == ["failed"] * 4 + ["dead"]
    with store.read() as connection:
        assert replay(store, dead_letters(connection), NOW, 3) == 1
    assert [one.outcome for one in run_cohort(store, FakeModel(by_the_book), run_id="last")] == ["done"]
    with store.read() as connection:
        assert dead_letters(connection) == []


def test_attempts_say_what_they_were_made_from_and_how_they_ended(store: Store) -> None:
    nights(store, raising(ModelError("bad_request")))
    with store.read() as connection:
        rows = connection.execute(select(reflection_attempts).order_by(reflection_attempts.c.number)).all()
    assert [(row.number, row.outcome, row.error_class) for row in rows] == [
        (1, "failed", "bad_request"),
        (2, "failed", "bad_request"),
    ]
    assert len({row.input_hash for row in rows}) == 1
    assert len(rows[0].input_hash) == 64


@given(st.integers(1, 10), st.integers(), st.none() | st.floats(0, 1e9))
def test_the_wait_is_capped_jittered_and_never_shorter_than_asked_for(
    tries: int, seed: int, retry_after_s: float | None
) -> None:
    at = next_attempt_at(NOW, tries, Random(seed), retry_after_s=retry_after_s)
    wait = (at - NOW).total_seconds()
    asked = 0.0 if retry_after_s is None else min(retry_after_s, RETRY_AFTER_CEILING_S)
    assert asked - 1e-3 <= wait <= max(min(60 * 2 ** (tries - 1), LONGEST_WAIT_S), asked) + 1e-3


@given(st.booleans(), st.integers(1, 10), st.integers(0, 10))
def test_no_obligation_is_tried_for_ever(transient: bool, tries: int, same_before: int) -> None:
    if tries >= MAX_TRIES or (not transient and same_before >= 1):
        assert not may_try_again(transient=transient, tries=tries, same_before=same_before)
    else:
        assert may_try_again(transient=transient, tries=tries, same_before=same_before)


@pytest.mark.parametrize(
    ("broken", "error_class", "transient"),
    [
        (ModelError("overloaded"), "overloaded", True),
        (ModelError("context_too_long"), "context_too_long", False),
        (TimeoutError(), "timeout", True),
        (ConnectionResetError(), "ConnectionResetError", True),
        (json.JSONDecodeError("x", "y", 0), "JSONDecodeError", False),
    ],
)
def test_what_a_try_raised_is_known_by_its_class(broken: Exception, error_class: str, *, transient: bool) -> None:
    failure = failure_of(broken)
    assert (failure.error_class, failure.transient) == (error_class, transient)
