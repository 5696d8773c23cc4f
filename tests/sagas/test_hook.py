"""The failure hook: after an error that the engine did not expect, a saga turns round or is given back at once."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import select, text, update

from selo_dagster.clock import SystemClock
from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.sagas.claim import claim
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.tables import saga_alerts, saga_attempts, sagas
from selo_dagster.store.engine import Store
from tests.sagas.dagster_sagas import KEEPSAKE
from tests.sagas.in_dagster import (
    STEPS,
    begin,
    count,
    failed,
    saga_row,
    state,
    states,
    steps,
    succeeded,
    with_sagas,
    work,
)


@pytest.fixture
def store(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the settings name too, since runs open their own."""
    with with_sagas(store_url, monkeypatch):
        yield store


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def hooks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return how the hook ended, by op; where it had nothing to do it counts as completed."""
    kinds = {"HOOK_COMPLETED", "HOOK_ERRORED"}
    return {
        str(event.step_key): event.event_type_value for event in result.all_events if event.event_type_value in kinds
    }


def said(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> list[str]:
    """Return what the hook wrote into the run's log."""
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    return [message for message in messages if message.startswith("after ")]


def undo(store: Store, saga_id: str) -> None:
    """Let a saga go back."""
    with store.write() as connection:
        Desk(connection, SystemClock().now(), lambda *_: KEEPSAKE, "a test", "to see").compensate(saga_id)


def test_an_error_of_the_program_that_escapes_turns_the_saga_round(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="crooked")
    result = work(instance)
    assert list(failed(result)) == ["forward.promise"]
    assert hooks(result) == {"forward.promise": "HOOK_COMPLETED"}
    row = saga_row(store, saga_id)
    assert (row.state, row.direction, row.reason, row.lease_until) == (
        "compensating",
        "compensate",
        "step_failed",
        None,
    )
    assert row.error == {"step": "promise", "class": "TypeError", "meaning": "failed"}
    assert count(store, saga_alerts, saga_id=saga_id, code="failed") == 1
    assert work(instance).success
    assert state(store, saga_id) == "compensated"


def test_any_other_error_that_escapes_gives_the_claim_back_at_once(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="unwritable")
    result = work(instance)
    assert list(failed(result)) == ["forward.promise"]
    row = saga_row(store, saga_id)
    assert (row.state, row.direction, row.lease_until) == ("running", "forward", None)
    assert steps(store, saga_id) == dict.fromkeys(STEPS[:-1], "done")
    # The transaction of the step that escaped is as if it had never begun.
    assert (count(store, goal_steps), count(store, saga_alerts)) == (1, 0)
    with store.write() as connection:
        mended = {**row.input, "behaviour": {"fail_at": "", "how": "", "gate": ""}}
        connection.execute(update(sagas).values(input=mended))
    assert work(instance).success
    assert (state(store, saga_id), saga_row(store, saga_id).epoch) == ("completed", 2)
    assert (count(store, goals), count(store, goal_steps)) == (1, 2)


def test_a_saga_whose_step_escapes_each_time_is_parked_in_the_end(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="unwritable")
    for _ in range(6):
        work(instance)
    assert state(store, saga_id) in {"parked", "compensating", "compensated"}


def test_a_saga_whose_step_escapes_each_time_does_not_hold_up_the_others(
    instance: dg.DagsterInstance, store: Store
) -> None:
    begin(store, "ana")
    begin(store, "ben", fail_at="promise", how="unwritable")
    for _ in range(6):
        work(instance)
    assert states(store)["ana"] == "completed"


def test_a_table_that_is_gone_gives_the_claim_back(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="plan", how="permanent")
    with store.write() as connection:
        connection.execute(text("DROP TABLE saga_attempts"))
    result = work(instance)
    assert "forward.plan" in failed(result)
    row = saga_row(store, saga_id)
    assert (row.state, row.direction, row.lease_until) == ("running", "forward", None)
    assert steps(store, saga_id) == {"remember": "done"}


def test_a_journal_that_is_gone_is_an_error_of_the_hook_and_changes_no_claim(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana")
    with store.write() as connection:
        connection.execute(text("DROP TABLE saga_steps"))
    result = work(instance)
    assert hooks(result) == {"forward.remember": "HOOK_ERRORED"}
    # The sensor frees it once it sees that the run has ended.
    row = saga_row(store, saga_id)
    assert (row.state, row.run_id, row.epoch) == ("running", result.run_id, 1)
    assert row.lease_until is not None


def test_an_undo_that_escapes_is_given_back_and_never_turned_round(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="plan", how="crooked_undo")
    assert work(instance).success
    undo(store, saga_id)
    result = work(instance)
    assert "compensation.undo_plan" in failed(result)
    row = saga_row(store, saga_id)
    assert (row.state, row.direction, row.lease_until) == ("compensating", "compensate", None)
    assert steps(store, saga_id) == {"promise": "undone", "plan": "done", "weigh": "done", "remember": "done"}


def test_the_others_of_a_cohort_are_given_back_with_the_one_that_escaped(
    instance: dg.DagsterInstance, store: Store
) -> None:
    begin(store, "ana")
    begin(store, "ben", fail_at="plan", how="unwritable")
    work(instance)
    assert states(store) == {"ana": "running", "ben": "running"}
    assert count(store, sagas, lease_until=None) == 2


def test_nobody_is_turned_round_for_an_error_of_another(instance: dg.DagsterInstance, store: Store) -> None:
    ana = begin(store, "ana")
    begin(store, "ben", fail_at="promise", how="crooked")
    for _ in range(6):
        work(instance)
    assert state(store, ana) == "completed"


def test_a_failure_that_the_engine_expected_leaves_the_hook_nothing_to_do(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="permanent")
    result = work(instance)
    assert hooks(result) == {"forward.promise": "HOOK_COMPLETED"}
    assert said(instance, result) == ["after Failure: {'turned_round': 0, 'given_back': 0}"]
    assert saga_row(store, saga_id).epoch == 1
    assert count(store, saga_alerts) == 1


def test_an_attempt_that_is_up_for_retry_does_not_reach_the_hook(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana", fail_at="plan", how="passing")
    result = work(instance)
    assert result.success
    assert hooks(result) == {}


def test_a_claim_that_fails_is_none_of_the_hooks_business(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana")
    with store.write() as connection:
        connection.execute(text("DROP TABLE saga_locks"))
    result = work(instance)
    assert list(failed(result)) == ["claim"]
    assert said(instance, result) == []
    assert state(store, saga_id) == "pending"


def test_a_settle_that_is_red_is_none_of_the_hooks_business(instance: dg.DagsterInstance, store: Store) -> None:
    broken = begin(store, "ana", fail_at="plan", how="permanent")
    begin(store, "ben")
    result = work(instance)
    assert list(failed(result)) == ["forward.settle"]
    assert said(instance, result) == []
    assert saga_row(store, broken).epoch == 1


def test_a_verdict_that_is_red_is_none_of_the_hooks_business(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="plan", how="kept")
    assert work(instance).success
    undo(store, saga_id)
    result = work(instance)
    assert list(failed(result)) == ["compensation.verdict"]
    assert said(instance, result) == []
    assert state(store, saga_id) == "compensation_incomplete"


def test_a_verdict_that_breaks_keeps_its_claims_for_the_sensor(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="plan", how="kept")
    assert work(instance).success
    undo(store, saga_id)
    with store.write() as connection:
        connection.execute(text("DROP TABLE saga_alerts"))
    result = work(instance)
    assert "compensation.verdict" in failed(result)
    row = saga_row(store, saga_id)
    assert (row.state, row.run_id) == ("compensating", result.run_id)
    assert row.lease_until is not None


@pytest.mark.parametrize("how", ["crooked", "unwritable"])
def test_what_other_runs_hold_is_left_alone(instance: dg.DagsterInstance, store: Store, how: str) -> None:
    others = [begin(store, "ana"), begin(store, "ben")]
    with store.write() as connection:
        taken = claim(
            connection, KEEPSAKE, "forward", run_id="another", now=SystemClock().now(), lease_s=60, limit=2, ids=others
        )
    assert len(taken) == 2
    before = [saga_row(store, saga_id) for saga_id in others]
    mine = begin(store, "cy", fail_at="plan", how="crooked" if how == "crooked" else "unwritable")
    result = work(instance)
    assert "forward.plan" in failed(result)
    assert saga_row(store, mine).lease_until is None
    assert [saga_row(store, saga_id) for saga_id in others] == before


def test_who_was_through_the_step_already_keeps_the_claim_of_the_run(
    instance: dg.DagsterInstance, store: Store
) -> None:
    """Fifty-one sagas are two transactions: the first one commits, the second one escapes."""
    ids = [begin(store, f"p{number:02}") for number in range(50)]
    bad = begin(store, "z")
    with store.write() as connection:
        document = {"text": "x", "behaviour": {"fail_at": "plan", "how": "crooked", "gate": ""}}
        # Transactions go by the order of the ids.
        last = max([*ids, bad])
        connection.execute(update(sagas).where(sagas.c.id == last).values(input=document))
    result = work(instance)
    assert "forward.plan" in failed(result)
    with store.read() as connection:
        rows = {row.id: row for row in connection.execute(select(sagas))}
    assert rows[last].state == "compensating"
    others = [row for saga_id, row in rows.items() if saga_id != last]
    assert {row.state for row in others} == {"running"}
    assert {row.direction for row in others} == {"forward"}
    assert count(store, saga_attempts) == 0
    assert succeeded(result)[:2] == ["claim", "forward.remember"]
