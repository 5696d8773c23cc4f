"""The rules that reflections owe, by their number; R3 and R14 stand with the adaptive kind, R7 with the four weeks."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import func, insert, select

from selo_dagster.clock import FixedClock
from selo_dagster.memory.tables import memories
from selo_dagster.reflections.claim import Claim, claim, ledger
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol, ready_count
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.one_offs import schedule
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.retry import Failure
from selo_dagster.reflections.settle import Cost
from selo_dagster.reflections.tables import mantras, reflections
from selo_dagster.store.engine import Store
from tests.support.dagster import execute, instance_of
from tests.support.fakes import NOW, FakeModel, add_person, limits, remember, run_cohort, say, tools

SECRET = "the-planted-secret-7f3a"
SATURDAY = NOW + timedelta(days=5)


@pytest.fixture
def people(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Three people with something for every kind to do by Saturday noon."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    for user in ("ana", "ben", "eve"):
        add_person(store, user, name=f"{user} {SECRET}")
        for day in (24, 25, 26, 27):
            say(store, user, f"2026-11-{day}T10:00:00Z", f"{SECRET} of day {day}")
        remember(store, user, f"{user}-m", "2026-11-27T11:00:00Z", f"{user} remembers {SECRET}", 0.9)
        with store.write() as connection:
            for number in (1, 2):
                connection.execute(
                    insert(memories).values(
                        id=f"{user}-answer-{number}",
                        user_id=user,
                        kind="relationship_answer",
                        content=f"{SECRET} is my favourite",
                        importance=0.5,
                        at=NOW + timedelta(days=number),
                        tags=["work"],
                    )
                )
            # No date of it may be read with the daily, or there is nothing left for the adaptive kind.
            schedule(
                connection,
                user_id=user,
                kind="one_off",
                due_at=NOW + timedelta(days=2),
                now=NOW,
                new_id=lambda user=user: f"one-off-{user}",  # type: ignore[misc]
                context={"what": SECRET},
            )
            schedule(
                connection,
                user_id=user,
                kind="memory",
                due_at=NOW + timedelta(days=4),
                now=NOW,
                new_id=lambda user=user: f"memory-{user}",  # type: ignore[misc]
                memory_ids=[f"{user}-m"],
            )
        say(store, user, "2026-11-28T09:00:00Z", f"this morning {SECRET}", prefix=f"{user}-late")
    return store


def night(store: Store, model: FakeModel, now: datetime = SATURDAY) -> dict[str, int]:
    """Do everything that is due for every kind; returns what was done by kind."""
    done = {}
    for name, kind in KINDS.items():
        look(store, kind, now, 3)
        found = run_cohort(store, model, kind=kind, clock=FixedClock(now), run_id=f"{name}-{now}")
        done[name] = sum(one.outcome == "done" for one in found)
    return done


def test_r1_two_workers_one_row_one_call_for_every_kind(people: Store) -> None:
    models = [FakeModel(), FakeModel()]
    for name, kind in KINDS.items():
        look(people, kind, SATURDAY, 3)
        workers = [
            threading.Thread(
                target=run_cohort,
                args=(people, model),
                kwargs={"kind": kind, "run_id": f"{name}-{number}", "clock": FixedClock(SATURDAY), "chunk": 1},
            )
            for number, model in enumerate(models)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    with people.read() as connection:
        rows = connection.execute(select(ledger.c.kind, ledger.c.attempts, ledger.c.state)).all()
    assert {row.attempts for row in rows if row.state == "done"} == {1}
    asked = sum(len(model.asked) for model in models)
    assert asked == sum(row.state == "done" and row.kind != "relationship_answer_audit" for row in rows)


def test_r4_no_success_without_an_output(people: Store) -> None:
    night(people, FakeModel())
    with people.read() as connection:
        done = connection.execute(
            select(ledger.c.kind, func.count().label("n")).where(ledger.c.state == "done").group_by(ledger.c.kind)
        ).all()
        made = {
            row.kind: row.n
            for row in connection.execute(
                select(reflections.c.kind, func.count().label("n")).group_by(reflections.c.kind)
            )
        }
        made["mantra"] = connection.execute(select(func.count()).select_from(mantras)).scalar_one()
        asked = connection.execute(select(func.count(relationship_questions.c.ledger_id.distinct()))).scalar_one()
    made["relationship_questions"] = asked
    assert {row.kind: row.n for row in done if row.kind != "relationship_answer_audit"} == made


def test_r10_a_second_pass_without_anything_new_asks_nothing_for_every_kind(people: Store) -> None:
    model = FakeModel()
    first = night(people, model)
    assert {name for name, done in first.items() if done} >= {
        "daily",
        "mantra",
        "relationship_questions",
        "relationship_answer_audit",
        "triggered",
        "one_off",
    }
    calls = len(model.asked)
    assert set(night(people, model).values()) == {0}
    assert len(model.asked) == calls


def test_r2_a_claim_that_was_lost_stores_nothing_for_any_kind(people: Store) -> None:
    night(people, FakeModel())
    with people.write() as connection:
        connection.execute(ledger.update().values(state="due", ready_at=NOW, version=ledger.c.version + 1))
    for kind in KINDS.values():
        with people.write() as connection:
            held: list[Claim] = claim(connection, kind, run_id="zombie", now=SATURDAY, lease_s=0.0, limit=50)
        taken = run_cohort(people, kind=kind, clock=FixedClock(SATURDAY), run_id=f"{kind.name}-taker")
        before = counts(people)
        cohort = Cohort(kind, "zombie", limits(), tools(people), lambda _: None)
        for one in held:
            nothing = cohort._settling.failed(one, _failure(), "hash", Cost())
            assert nothing is None
        assert counts(people) == before
        assert len(taken) >= len(held)


def _failure() -> Failure:
    return Failure("timeout", transient=True)


def counts(store: Store) -> list[int]:
    """Return how many reflections, mantras and questions there are."""
    with store.read() as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (reflections, mantras, relationship_questions)
        ]


def test_r16_no_text_of_anybody_reaches_dagsters_records_for_any_kind(people: Store) -> None:
    with instance_of(people) as instance:
        for name, kind in KINDS.items():
            look(people, kind, SATURDAY, 3)
            result = execute(jobs[name], instance, config={"now": SATURDAY.isoformat()})
            assert result.success, name
        records = "".join(
            str(record.event_log_entry)
            for run in instance.get_runs()
            for record in instance.get_records_for_run(run.run_id).records
        )
        runs = "".join(f"{run.tags}{run.run_config}" for run in instance.get_runs())
    assert "AssetMaterialization" in records or "ASSET_MATERIALIZATION" in records
    assert SECRET not in records + runs


def test_every_kinds_cohort_runs_on_an_instance_where_every_upstream_asset_has_events(people: Store) -> None:
    with instance_of(people) as instance:
        for asset in ("messages", "memories", *(kind.asset for kind in KINDS.values())):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition="ana"))
        for name, kind in KINDS.items():
            look(people, kind, SATURDAY, 3)
            assert execute(jobs[name], instance, config={"now": SATURDAY.isoformat()}).success, name


def test_three_nights_with_everything_down_are_caught_up_newest_first_within_the_bound(store: Store) -> None:
    add_person(store, "ana")
    for day in range(16, 23):
        say(store, "ana", f"2026-11-{day}T10:00:00Z", f"day {day}")
    model = FakeModel()
    enrol(store, DAILY, NOW, 3)
    run_cohort(store, model, concurrency=1, chunk=1)
    assert [request.covers for request in model.asked] == [
        "Sunday 22 November 2026",
        "Saturday 21 November 2026",
        "Friday 20 November 2026",
    ]
    # As of each date: nothing later is shown, and only reflections with an earlier date.
    assert [[source.text for source in request.evidence] for request in model.asked] == [
        ["day 22"],
        ["day 21"],
        ["day 20"],
    ]
    with store.read() as connection:
        too_old = connection.execute(
            select(func.count()).where(ledger.c.kind == "daily", ledger.c.reason == "too_old")
        ).scalar_one()
        assert ready_count(connection, DAILY, NOW) == 0
    assert too_old == 4
    done = night(store, model, NOW)
    assert (done["daily"], done["mantra"], done["weekly"]) == (0, 1, 1)
