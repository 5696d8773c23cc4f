"""A cohort against a server that is slow, wrong or gone: it ends, and the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import func, select

from selo_dagster.clock import FixedClock
from selo_dagster.llm.openai_client import OpenAICompatibleModel
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.tables import reflection_attempts, reflections
from selo_dagster.store.engine import Store
from tests.support import fault_server as fault
from tests.support.fakes import NOW, add_person, limits, say, tools

PEOPLE = 12
LIMITS = Limits(call_s=3.0, person_s=5.0)
SLACK_S = 1.5
"""What a busy machine may add to a limit."""


def due_people(store: Store, number: int) -> None:
    for index in range(number):
        add_person(store, f"p{index:03}")
        say(store, f"p{index:03}", "2026-11-22T10:00:00Z", f"hello from p{index:03}")
    enrol(store, DAILY, NOW, 3)


def reflect(
    store: Store, server: fault.FaultServer, run_id: str, clock: FixedClock, slots: int = 6
) -> list[Settlement]:
    """Run one cohort with the real client."""
    model = OpenAICompatibleModel(
        base_url=server.url,
        model=fault.MODEL,
        api_key="key",
        slots=slots,
        max_tokens=600,
        temperature=0.0,
        random=Random(3),
    )
    given = replace(tools(store, clock=clock), model=model)
    cohort = Cohort(DAILY, run_id, limits(person=LIMITS, concurrency=slots), given, lambda _: None)
    return [one for batch in settlements(cohort) for one in batch]


def check_books(store: Store) -> None:
    """Attempts add up: each is written, ended, and counted once; done rows have their one reflection."""
    with store.read() as connection:
        rows = connection.execute(select(ledger)).all()
        attempts = Counter(connection.execute(select(reflection_attempts.c.ledger_id)).scalars())
        running = connection.execute(
            select(func.count()).where(reflection_attempts.c.outcome.in_(("running", "lost")))
        ).scalar_one()
        made = connection.execute(select(reflections.c.user_id, reflections.c.version)).all()
    assert {row.id: row.attempts for row in rows} == {row.id: attempts[row.id] for row in rows}
    assert running == 0
    done = [row.user_id for row in rows if row.state == "done"]
    assert sorted(one.user_id for one in made) == sorted(done)
    assert {one.version for one in made} <= {1}


@pytest.mark.parametrize(
    ("step", "outcome", "reason"),
    [
        (fault.ok(), "done", None),
        (fault.status(429, retry_after=30), "failed", "rate_limited"),
        (fault.status(503), "failed", "overloaded"),
        (fault.status(500), "failed", "server_error"),
        (fault.status(401), "failed", "auth"),
        (fault.cut_after_headers(), "failed", "connection"),
        (fault.cut_mid_body(), "failed", "connection"),
        (fault.slow(30), "failed", "timeout"),
        (fault.endless(), "failed", "timeout"),
        (fault.garbage(), "failed", None),
        (fault.wrong_shape(), "failed", None),
        (fault.ok('{"content": 7}'), "rejected", "schema_validation_failed"),
        (fault.ok("no JSON at all"), "rejected", "schema_validation_failed"),
        (fault.ok(finish_reason="length"), "rejected", "answer_cut_off"),
        (fault.unknown_alias(), "rejected", "insight_without_evidence"),
    ],
)
def test_every_fault_alone_ends_in_its_own_class_within_its_limit(
    store: Store, step: fault.Step, outcome: str, reason: str | None
) -> None:
    due_people(store, 2)
    with fault.FaultServer(lambda _: step) as server:
        found = reflect(store, server, "run-1", FixedClock(NOW))
    assert max(one.cost.seconds for one in found) < LIMITS.person_s + SLACK_S
    assert {one.outcome for one in found} == {outcome}
    assert len(found) == 2
    if reason is not None:
        assert {one.reason for one in found} == {reason}
    check_books(store)


def test_a_server_that_counts_more_tokens_than_there_can_be_ends_no_run(store: Store) -> None:
    due_people(store, 5)
    steps = [fault.ok(counted=2**31 - 1 if number % 2 else 2**63) for number in range(5)]
    with fault.FaultServer(lambda received: steps[received.number]) as server:
        found = reflect(store, server, "run-1", FixedClock(NOW))
    assert [(one.outcome, one.cost.input_tokens, one.cost.output_tokens) for one in found] == [("done", 0, 50)] * 5
    check_books(store)


def test_a_server_gone_altogether_fails_everybody_and_loses_nobody(store: Store) -> None:
    due_people(store, 5)
    with fault.FaultServer() as server:
        pass
    found = reflect(store, server, "run-1", FixedClock(NOW))
    assert {one.reason for one in found} == {"connection"}
    check_books(store)


def test_mixed_faults_leave_everybody_done_after_some_nights_and_the_books_right(store: Store) -> None:
    due_people(store, PEOPLE)
    clock = FixedClock(NOW)
    outcomes: list[Settlement] = []
    with fault.FaultServer(fault.flaky(seed=11)) as server:
        for night in range(8):
            outcomes += reflect(store, server, f"run-{night}", clock)
            clock.advance(timedelta(hours=2))
        asked = len(server.requests)
    with store.read() as connection:
        states = Counter(connection.execute(select(ledger.c.state)).scalars())
        calls = connection.execute(select(func.sum(reflection_attempts.c.model_calls))).scalar_one()
    assert states == {"done": PEOPLE}
    assert calls == asked
    assert Counter(one.outcome for one in outcomes)["done"] == PEOPLE
    check_books(store)


def test_a_server_that_has_too_much_to_do_is_asked_less_at_a_time(store: Store) -> None:
    due_people(store, PEOPLE)
    script = [fault.status(429)] * 6
    with fault.FaultServer(lambda received: script[received.number] if received.number < 6 else fault.ok()) as server:
        reflect(store, server, "run-1", FixedClock(NOW))
        assert server.peak <= 6
    check_books(store)
