"""A cohort takes everybody who is due, and each person's outcome is their own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date, timedelta

from sqlalchemy import func, select

from selo_dagster.clock import FixedClock
from selo_dagster.llm.chat_reply import read_reply
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import (
    reflection_attempts,
    reflection_ledger,
    reflection_sources,
    reflections,
)
from selo_dagster.store.engine import Store
from tests.support.fakes import (
    NOW,
    FakeModel,
    add_person,
    by_the_book,
    good_answer,
    limits,
    people_with_a_day,
    remember,
    run_cohort,
    say,
    tools,
)

SUNDAY = date(2026, 11, 22)


def test_everybody_who_is_due_is_reflected_on_once(store: Store) -> None:
    names = people_with_a_day(store, 23)
    model = FakeModel()
    assert [(one.user_id, one.outcome) for one in run_cohort(store, model)] == [(name, "done") for name in names]
    assert len(model.asked) == 23
    assert run_cohort(store, model, run_id="run-2") == []
    assert len(model.asked) == 23


def test_a_reflection_its_sources_and_its_row_are_finished_together(store: Store) -> None:
    add_person(store, "ana", zone="Europe/Lisbon")
    (message,) = say(store, "ana", "2026-11-22T10:00:00Z", "The interview is tomorrow")
    remember(store, "ana", "m1", "2026-11-22T10:05:00Z", "Ana has an interview", 0.9)
    enrol(store, DAILY, NOW, 3)
    (settled,) = run_cohort(store)
    with store.read() as connection:
        (made,) = connection.execute(select(reflections)).all()
        sources = {(row.source, row.source_id, row.use) for row in connection.execute(select(reflection_sources))}
        (row,) = connection.execute(select(reflection_ledger)).all()
        (attempt,) = connection.execute(select(reflection_attempts)).all()
    assert (made.id, made.zone, made.on, made.version) == (settled.reflection_id, "Europe/Lisbon", SUNDAY, 1)
    quoted = {"source": f"message:{message}", "quote": "The interview is tomorrow", "start": 0, "end": 25}
    assert made.insights == [
        {"text": "They said something.", "evidence": [f"message:{message}"], "citations": [quoted]}
    ]
    assert sources == {("message", message, "cited"), ("memory", "m1", "read")}
    assert (row.state, row.attempts, row.reflection_id, row.lease_until) == ("done", 1, made.id, None)
    assert (attempt.outcome, attempt.number, attempt.model_calls) == ("done", 1, 1)


def test_one_persons_failure_is_theirs_alone(store: Store) -> None:
    names = people_with_a_day(store, 5)

    async def answering(request: CompletionRequest) -> str:
        if request.subject == "p002":
            raise RuntimeError("the model fell over")
        return await by_the_book(request)

    found = {one.user_id: one.outcome for one in run_cohort(store, FakeModel(answering))}
    assert found == {name: "failed" if name == "p002" else "done" for name in names}


def test_a_failure_is_tried_again_only_after_its_back_off_and_at_last_is_dead(store: Store) -> None:
    people_with_a_day(store, 1)

    async def answering(_: CompletionRequest) -> str:
        raise ConnectionError

    clock = FixedClock(NOW)
    model = FakeModel(answering)
    outcomes = []
    for number in range(1, 7):
        found = run_cohort(store, model, run_id=f"run-{number}", clock=clock)
        outcomes += [one.outcome for one in found]
        assert run_cohort(store, model, run_id=f"again-{number}", clock=clock) == []
        clock.advance(timedelta(hours=2))
    assert outcomes == ["failed", "failed", "failed", "failed", "dead"]
    assert len(model.asked) == 5


def test_an_answer_that_breaks_a_rule_is_kept_with_its_codes_and_never_becomes_a_reflection(store: Store) -> None:
    people_with_a_day(store, 1)

    async def answering(request: CompletionRequest) -> str:
        return good_answer(
            request, content="too short", insights=[{"text": "x", "evidence": [{"source": "m99", "quote": "x"}]}]
        )

    (settled,) = run_cohort(store, FakeModel(answering))
    assert settled.outcome == "rejected"
    assert settled.codes == ("content_length_out_of_bounds", "insight_without_evidence", "unknown_source")
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(reflections)).scalar() == 0
        (attempt,) = connection.execute(select(reflection_attempts)).all()
    assert attempt.codes == list(settled.codes)
    assert "too short" in attempt.answer


def test_an_answer_with_what_no_database_takes_is_kept_with_its_codes_too(store: Store) -> None:
    # A server may send half of a sign as an escape of JSON.
    reply = json.dumps({"choices": [{"message": {"content": "no JSON, half a smile \ud83d, \x00 and more"}}]})

    async def half(_: CompletionRequest) -> str:
        return read_reply(reply.encode()).text

    people_with_a_day(store, 1)
    (settled,) = run_cohort(store, FakeModel(half))
    assert (settled.outcome, settled.codes) == ("rejected", ("schema_validation_failed",))
    with store.read() as connection:
        kept = connection.execute(select(reflection_attempts.c.answer)).scalar_one()
    assert kept == "no JSON, half a smile ?,  and more"


def test_a_call_that_takes_too_long_is_a_time_out(store: Store) -> None:
    people_with_a_day(store, 1)
    waiting = asyncio.Event

    async def answering(_: CompletionRequest) -> str:
        await waiting().wait()
        return ""

    from selo_dagster.reflections.generate import Limits

    (settled,) = run_cohort(store, FakeModel(answering), person=Limits(0.05, 1.0))
    assert (settled.outcome, settled.reason) == ("failed", "timeout")


def test_a_run_at_its_deadline_claims_nothing_and_loses_nothing(store: Store) -> None:
    people_with_a_day(store, 3)
    assert run_cohort(store, run_s=0.0) == []
    assert len(run_cohort(store, run_id="run-2")) == 3


def test_newest_dates_come_first_across_everybody(store: Store) -> None:
    add_person(store, "old")
    say(store, "old", "2026-11-20T10:00:00Z", "friday")
    add_person(store, "zoe")
    say(store, "zoe", "2026-11-21T10:00:00Z", "saturday")
    say(store, "zoe", "2026-11-22T10:00:00Z", "sunday")
    enrol(store, DAILY, NOW, 3)
    model = FakeModel()
    run_cohort(store, model, concurrency=1)
    assert [asked.evidence[0].text for asked in model.asked] == ["sunday", "saturday", "friday"]


def test_a_caught_up_day_sees_only_reflections_of_earlier_dates(store: Store) -> None:
    add_person(store, "zoe")
    say(store, "zoe", "2026-11-21T10:00:00Z", "saturday")
    say(store, "zoe", "2026-11-22T10:00:00Z", "sunday")
    enrol(store, DAILY, NOW, 3)
    model = FakeModel()
    run_cohort(store, model, concurrency=1)
    say(store, "zoe", "2026-11-23T10:00:00Z", "monday")
    clock = FixedClock(NOW + timedelta(days=1))
    enrol(store, DAILY, clock.now(), 3)
    run_cohort(store, model, run_id="run-2", clock=clock)
    sunday, saturday, monday = model.asked
    assert (sunday.earlier, saturday.earlier) == ((), ())
    assert ["Sunday" in monday.earlier[0], "Saturday" in monday.earlier[1]] == [True, True]


def test_a_reflection_that_the_database_refuses_is_its_persons_failure_alone(store: Store) -> None:
    names = people_with_a_day(store, 3)
    used = tools(store)
    same_id = replace(used, new_id=lambda: "always-the-same")
    cohort = Cohort(DAILY, "run-1", limits(concurrency=1), same_id, lambda _: None)
    found = {one.user_id: (one.outcome, one.reason) for batch in settlements(cohort) for one in batch}
    assert found == {
        names[0]: ("done", None),
        names[1]: ("failed", "IntegrityError"),
        names[2]: ("failed", "IntegrityError"),
    }
