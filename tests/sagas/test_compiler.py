"""A saga as a job: its graph, and what its runs show when it is done, breaks, waits, and goes back."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select, update

from selo_dagster.clock import SystemClock
from selo_dagster.people.goals import ACTIVE, CANCELLED, goal_steps, goals
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.compiler import job_name, job_of
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.hook import saga_step_failed
from selo_dagster.sagas.tables import saga_attempts, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.sagas.dagster_sagas import KEEPSAKE, LETTER, How
from tests.sagas.in_dagster import (
    JOBS,
    STEPS,
    begin,
    count,
    failed,
    keepsake_job,
    re_execute,
    saga_row,
    skipped,
    state,
    states,
    steps,
    succeeded,
    tags,
    with_sagas,
    work,
)
from tests.test_private_boundary import ROOT, SECRET, leaks_in

EVERY = [KEEPSAKE, LETTER, GOAL_CREATION]
FORWARD = [f"forward.{step}" for step in STEPS]
BACK = [f"compensation.undo_{step}" for step in ("promise", "plan", "weigh", "remember")]
LONGEST_TRIES = 50


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


def edges(graph: Any) -> dict[str, set[str]]:
    """Return, of each node of a graph that waits for others, for which."""
    found: dict[str, set[str]] = {}
    for node, inputs in graph.dependencies.items():
        for on in inputs.values():
            name = node if isinstance(node, str) else node.alias or node.name
            found.setdefault(name, set()).update(one.node for one in on.get_node_dependencies())
    return found


def inner(job: dg.JobDefinition, name: str) -> Any:
    """Return one of the two graphs inside a job."""
    return job.graph.node_named(name).definition


# The graph.


@pytest.mark.parametrize("saga", EVERY, ids=lambda saga: saga.name)
def test_a_job_is_a_claim_and_a_graph_for_each_direction(saga: Saga) -> None:
    job = job_of(saga)
    assert job.name == f"saga_{saga.name}"
    assert {node.name for node in job.graph.nodes} == {"claim", "forward", "compensation"}
    assert edges(job.graph) == {"forward": {"claim"}, "compensation": {"claim"}}
    assert [out.name for out in job.graph.node_named("claim").definition.output_defs] == ["forward", "compensate"]


@pytest.mark.parametrize("saga", EVERY, ids=lambda saga: saga.name)
def test_the_way_forward_mirrors_the_definition_and_ends_at_settle(saga: Saga) -> None:
    forward = inner(job_of(saga), "forward")
    assert {node.name for node in forward.nodes} == {step.name for step in saga.steps} | {"settle"}
    waiting = {step.name: set(step.needs) for step in saga.steps if step.needs}
    assert edges(forward) == {**waiting, "settle": set(saga.sinks)}


@pytest.mark.parametrize("saga", EVERY, ids=lambda saga: saga.name)
def test_the_way_back_is_the_definition_reversed_and_ends_at_the_verdict(saga: Saga) -> None:
    back = inner(job_of(saga), "compensation")
    assert {node.name for node in back.nodes} == {f"undo_{step.name}" for step in saga.steps} | {"verdict"}
    reversed_needs: dict[str, set[str]] = {
        "verdict": {f"undo_{step.name}" for step in saga.steps if not step.needs},
    }
    for step in saga.steps:
        for need in step.needs:
            reversed_needs.setdefault(f"undo_{need}", set()).add(f"undo_{step.name}")
    assert edges(back) == reversed_needs


def test_a_diamond_goes_back_by_both_of_its_sides() -> None:
    back = edges(inner(JOBS["keepsake", 1], "compensation"))
    assert back["undo_remember"] == {"undo_plan", "undo_weigh", "undo_promise"}
    assert back["undo_plan"] == back["undo_weigh"] == {"undo_promise"}


def test_every_op_says_what_it_does_and_of_which_kind_it_is() -> None:
    job = JOBS["letter", 1]
    for name in ("forward", "compensation"):
        for node in inner(job, name).nodes:
            assert node.definition.description, node.name
            if node.name not in {"settle", "verdict"}:
                step = LETTER.step(node.name.removeprefix("undo_"))
                assert node.definition.tags["selo/step_kind"] == step.kind
                assert step.says in node.definition.description
    assert "outside the database" in inner(job, "forward").node_named("deliver").definition.description
    assert "called back" in inner(job, "compensation").node_named("undo_deliver").definition.description
    assert job.description is not None
    assert "remember → ponder → seal → deliver" in job.description


@pytest.mark.parametrize("saga", EVERY, ids=lambda saga: saga.name)
def test_a_job_runs_in_one_process_and_is_never_retried_by_dagster(saga: Saga) -> None:
    job = job_of(saga)
    assert job.executor_def is dg.in_process_executor
    assert job.tags["dagster/max_retries"] == "0"
    assert job.tags["selo/saga_type"] == saga.name
    assert job.hook_defs == {saga_step_failed}
    for name in ("forward", "compensation"):
        assert all(node.definition.retry_policy is None for node in inner(job, name).nodes)


def test_an_older_version_has_a_job_of_its_own() -> None:
    assert (job_name(KEEPSAKE, newest=True), job_name(KEEPSAKE, newest=False)) == ("saga_keepsake", "saga_keepsake_v1")
    assert job_of(KEEPSAKE, newest=False).name == "saga_keepsake_v1"


# What runs show.


def test_a_saga_that_comes_through_is_green_and_the_way_back_is_skipped(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana")
    result = work(instance)
    assert result.success
    assert succeeded(result) == ["claim", *FORWARD, "forward.settle"]
    assert skipped(result) == {*BACK, "compensation.verdict"}
    assert state(store, saga_id) == "completed"
    assert set(steps(store, saga_id).values()) == {"done"}
    assert (count(store, goals, state=ACTIVE), count(store, goal_steps)) == (1, 2)


def test_nothing_to_claim_is_green_and_skips_both_ways(instance: dg.DagsterInstance, store: Store) -> None:
    result = work(instance)
    assert (result.success, succeeded(result)) == (True, ["claim"])
    assert skipped(result) == {*FORWARD, *BACK, "forward.settle", "compensation.verdict"}
    assert count(store, sagas) == 0


@pytest.mark.parametrize("how", ["permanent", "refused", "programming", "rejected"])
def test_a_saga_alone_that_fails_is_red_where_it_broke_and_its_undo_is_green(
    instance: dg.DagsterInstance, store: Store, how: How
) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how=how)
    broken = work(instance)
    assert list(failed(broken)) == ["forward.promise"]
    assert f"no saga came through promise: {saga_id} (" in failed(broken)["forward.promise"]
    assert succeeded(broken) == ["claim", *FORWARD[:-1]]
    # What comes after a red op is never begun; what was not chosen is skipped.
    assert skipped(broken) == {*BACK, "compensation.verdict"}
    assert state(store, saga_id) == "compensating"

    undone = work(instance)
    assert undone.success
    assert succeeded(undone) == ["claim", *BACK, "compensation.verdict"]
    assert skipped(undone) == {*FORWARD, "forward.settle"}
    assert state(store, saga_id) == "compensated"
    assert steps(store, saga_id) == dict.fromkeys(STEPS[:-1], "undone") | {"promise": "nothing_to_undo"}
    assert (count(store, goals, state=CANCELLED), count(store, goal_steps)) == (1, 0)


def test_a_saga_that_broke_at_its_first_step_has_nothing_to_undo(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="remember", how="permanent")
    assert list(failed(work(instance))) == ["forward.remember"]
    assert work(instance).success
    assert state(store, saga_id) == "nothing_to_undo"


def test_beside_the_step_where_a_saga_alone_broke_no_other_is_red(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana", fail_at="plan", how="permanent")
    assert list(failed(work(instance))) == ["forward.plan"]


def test_an_undo_that_is_refused_is_red_at_the_verdict_which_names_what_is_left(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana", fail_at="plan", how="kept")
    assert work(instance).success
    with store.write() as connection:
        Desk(connection, SystemClock().now(), lambda *_: KEEPSAKE, "a test", "to see").compensate(saga_id)
    result = work(instance)
    assert succeeded(result) == ["claim", *BACK]
    assert list(failed(result)) == ["compensation.verdict"]
    assert f"{saga_id} (compensation_incomplete)" in failed(result)["compensation.verdict"]
    assert steps(store, saga_id) == {"promise": "undone", "weigh": "undone", "plan": "undoing", "remember": "done"}


def test_three_of_fifty_that_break_are_named_at_settle_and_forty_seven_complete(
    instance: dg.DagsterInstance, store: Store
) -> None:
    broken = {}
    for number in range(50):
        fails = number in {7, 21, 42}
        saga_id = begin(
            store, f"p{number:02}", fail_at="weigh" if fails else "", how="permanent" if fails else "", text="x"
        )
        if fails:
            broken[saga_id] = f"p{number:02}"
    result = work(instance)
    assert list(failed(result)) == ["forward.settle"]
    assert succeeded(result) == ["claim", *FORWARD]
    message = failed(result)["forward.settle"]
    assert "3 sagas of this run broke" in message
    assert {saga_id for saga_id in broken if f"{saga_id} (RuntimeError)" in message} == set(broken)
    found = states(store)
    assert sorted(user for user, is_now in found.items() if is_now == "compensating") == sorted(broken.values())
    assert sum(is_now == "completed" for is_now in found.values()) == 47
    assert sum(saga_id in message for saga_id in all_ids(store)) == 3

    undone = work(instance)
    assert undone.success
    assert sorted(user for user, is_now in states(store).items() if is_now == "compensated") == sorted(broken.values())
    assert count(store, goals, state=ACTIVE) == 47


def all_ids(store: Store) -> list[str]:
    """Return the id of every saga."""
    with store.read() as connection:
        return list(connection.execute(select(sagas.c.id)).scalars())


def test_what_breaks_in_a_cohort_at_different_steps_is_named_together(
    instance: dg.DagsterInstance, store: Store
) -> None:
    first = begin(store, "ana", fail_at="remember", how="refused")
    second = begin(store, "ben", fail_at="promise", how="programming")
    third = begin(store, "cy")
    message = failed(work(instance))["forward.settle"]
    assert f"2 sagas of this run broke: {first} (RefusedError), {second} (TypeError)" in message
    assert third not in message


def test_one_that_was_too_late_is_named_at_settle(instance: dg.DagsterInstance, store: Store) -> None:
    late = begin(store, "ana")
    begin(store, "ben")
    with store.write() as connection:
        past = SystemClock().now() - timedelta(seconds=1)
        connection.execute(update(sagas).where(sagas.c.id == late).values(deadline_at=past))
    result = work(instance)
    assert states(store) == {"ana": "compensating", "ben": "completed"}
    assert late in failed(result).get("forward.settle", "")


# Waiting.


def test_a_passing_failure_is_up_for_retry_and_then_succeeds_in_the_same_run(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana", fail_at="plan", how="passing", text=SECRET)
    result = work(instance)
    assert result.success
    (again,) = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert again.step_key == "forward.plan"
    assert "TransientError" in str(again.event_specific_data)
    assert SECRET not in str(again.event_specific_data)
    assert state(store, saga_id) == "completed"
    assert saga_row(store, saga_id).epoch == 1
    assert count(store, saga_attempts, outcome="transient") == 1


def test_a_passing_failure_outside_shows_its_class_while_it_waits(
    instance: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    begin(store, "ana", LETTER, fail_at="deliver", how="passing", gate=str(tmp_path / "gate"))
    result = work(instance, LETTER)
    assert result.success
    (again,) = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert "TransientError" in str(again.event_specific_data)


def test_a_budget_that_is_spent_within_a_run_turns_the_saga_round(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="remember", how="stubborn")
    result = work(instance)
    assert [event.event_type_value for event in result.all_events].count("STEP_UP_FOR_RETRY") == 2
    assert list(failed(result)) == ["forward.remember"]
    assert state(store, saga_id) == "compensating"


def test_a_long_wait_is_put_off_and_the_next_run_goes_on_where_it_was(
    instance: dg.DagsterInstance, store: Store
) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="passing")
    result = work(instance)
    assert "STEP_UP_FOR_RETRY" not in [event.event_type_value for event in result.all_events]
    assert "waits for another try" in failed(result)["forward.promise"]
    row = saga_row(store, saga_id)
    assert (row.state, row.direction, row.lease_until) == ("waiting", "forward", None)
    assert row.next_attempt_at > SystemClock().now()
    assert succeeded(work(instance)) == ["claim"]

    with store.write() as connection:
        connection.execute(update(sagas).values(next_attempt_at=SystemClock().now()))
    later = work(instance)
    assert later.success
    assert state(store, saga_id) == "completed"
    assert (count(store, goals), count(store, goal_steps)) == (1, 2)


def test_one_that_has_to_wait_keeps_nobody_of_its_cohort_waiting(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana")
    # Once with the others under one savepoint, and once alone.
    begin(store, "ben", fail_at="plan", how="twice")
    begin(store, "cy")
    result = work(instance)
    assert "STEP_UP_FOR_RETRY" not in [event.event_type_value for event in result.all_events]
    assert states(store) == {"ana": "completed", "ben": "waiting", "cy": "completed"}
    for _ in range(LONGEST_TRIES):
        if states(store)["ben"] != "waiting":
            break
        work(instance)
    assert states(store)["ben"] == "completed"


def test_a_step_that_outlasts_its_lease_keeps_its_claim(
    instance: dg.DagsterInstance, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_LEASE_S", "1")
    process_settings.cache_clear()
    gate = tmp_path / "gate"
    saga_id = begin(store, "ana", LETTER, fail_at="ponder", how="slow", gate=str(gate))
    run = threading.Thread(target=work, args=(instance, LETTER))
    run.start()
    leases: set[object] = set()
    while run.is_alive() and len(leases) < 6:
        leases.add(saga_row(store, saga_id).lease_until)
    gate.touch()
    run.join()
    row = saga_row(store, saga_id)
    # The first one is from before the claim, the second the claim's; the fifth beat is later than the lease's end.
    assert (row.state, row.epoch, row.lost, len(leases)) == ("completed", 1, 0, 6)


# Re-executing a run.


def test_a_re_execution_from_failure_holds_nothing_and_says_what_to_do_instead(store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="permanent")
    with dg.DagsterInstance.local_temp() as instance:
        broken = work(instance)
        assert work(instance).success
        before = saga_row(store, saga_id)
        result = re_execute(instance, broken.run_id)
        assert not result.success
        assert list(failed_of(result)) == ["forward.promise"]
        assert "this run holds no keepsake that goes forward" in failed_of(result)["forward.promise"]
        assert "`selo saga run`" in failed_of(result)["forward.promise"]
        assert saga_row(store, saga_id) == before
        assert count(store, goal_steps) == 0


def test_a_re_executed_verdict_holds_nothing_either(store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="permanent")
    with dg.DagsterInstance.local_temp() as instance:
        work(instance)
        with store.write() as connection:
            connection.execute(update(goals).values(state=ACTIVE))
        undone = work(instance)
        assert undone.success
        result = dg.execute_job(
            dg.reconstructable(keepsake_job),
            instance=instance,
            raise_on_error=False,
            reexecution_options=dg.ReexecutionOptions(undone.run_id, ["compensation.verdict"]),
        )
        assert list(failed_of(result)) == ["compensation.verdict"]
        assert state(store, saga_id) == "compensated"


def test_a_re_executed_settle_does_not_turn_a_broken_cohort_green(store: Store) -> None:
    begin(store, "ana", fail_at="plan", how="permanent")
    begin(store, "ben")
    with dg.DagsterInstance.local_temp() as instance:
        broken = work(instance)
        assert list(failed(broken)) == ["forward.settle"]
        assert not re_execute(instance, broken.run_id).success


def failed_of(result: dg.JobExecutionResult) -> dict[str, str]:
    """Return the ops of a re-execution that ended red with their messages."""
    found = {}
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            assert error is not None
            found[str(event.step_key)] = error.message
    return found


# Tags.


def test_both_runs_of_a_saga_are_found_by_its_tag(instance: dg.DagsterInstance, store: Store) -> None:
    saga_id = begin(store, "ana", fail_at="promise", how="permanent")
    there, back = work(instance), work(instance)
    for run_id, direction in ((there.run_id, "forward"), (back.run_id, "compensate")):
        expected = {"selo/saga": saga_id, "selo/direction": direction, "selo/saga_type": "keepsake"}
        assert tags(instance, run_id) == expected
    found = instance.get_runs(dg.RunsFilter(tags={"selo/saga": saga_id}))
    assert {run.run_id for run in found} == {there.run_id, back.run_id}


def test_a_cohort_names_twenty_of_its_sagas_in_its_tags(instance: dg.DagsterInstance, store: Store) -> None:
    ids = [begin(store, f"p{number:02}") for number in range(25)]
    shown = tags(instance, work(instance).run_id)
    assert shown["selo/sagas"].split(", ") == ids[:20]
    assert "selo/saga" not in shown


def test_undoing_goes_before_doing_and_a_run_has_one_direction(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana", fail_at="promise", how="permanent")
    work(instance)
    begin(store, "ben")
    assert tags(instance, work(instance).run_id)["selo/direction"] == "compensate"
    assert states(store) == {"ana": "compensated", "ben": "pending"}
    assert tags(instance, work(instance).run_id)["selo/direction"] == "forward"
    assert states(store) == {"ana": "compensated", "ben": "completed"}


def test_a_run_can_be_told_its_direction_and_its_sagas(instance: dg.DagsterInstance, store: Store) -> None:
    begin(store, "ana")
    ben = begin(store, "ben")
    assert succeeded(work(instance, direction="compensate")) == ["claim"]
    assert work(instance, ids=[ben]).success
    assert states(store) == {"ana": "pending", "ben": "completed"}


def test_a_cohort_has_the_size_of_the_setting(
    instance: dg.DagsterInstance, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_COHORT_SIZE", "2")
    process_settings.cache_clear()
    for name in ("ana", "ben", "cy"):
        begin(store, name)
    work(instance)
    assert states(store) == {"ana": "completed", "ben": "completed", "cy": "pending"}


def test_a_saga_that_was_lost_twice_goes_alone(instance: dg.DagsterInstance, store: Store) -> None:
    lost = begin(store, "ana")
    begin(store, "ben")
    with store.write() as connection:
        connection.execute(update(sagas).where(sagas.c.id == lost).values(lost=2))
    assert tags(instance, work(instance).run_id)["selo/saga"] != lost
    assert tags(instance, work(instance).run_id)["selo/saga"] == lost


# Private text.

FAULTS: list[tuple[str, How]] = [
    ("plan", "permanent"),
    ("plan", "programming"),
    ("plan", "rejected"),
    ("plan", "refused"),
    ("plan", "passing"),
    ("plan", "stubborn"),
    ("promise", "passing"),
    ("plan", "unwritable"),
    ("plan", "crooked"),
    ("plan", "kept"),
    ("", ""),
]


def test_no_fault_of_a_saga_carries_words_into_dagster(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        for number, (where, how) in enumerate(FAULTS):
            saga_id = begin(store, f"p{number}", fail_at=where, how=how, text=SECRET)
            runs = [work(instance, ids=[saga_id]), work(instance, ids=[saga_id])]
            assert "claim" in succeeded(runs[0])
            # Nothing of what the UI could ask for.
            for result in runs:
                assert SECRET not in repr(result.all_events), how
                assert SECRET not in repr(tags(instance, result.run_id))
                assert SECRET not in repr(list(instance.all_logs(result.run_id)))
        for number, (where, how) in enumerate(FAULTS):
            begin(store, f"together{number}", fail_at=where, how=how, text=SECRET)
        work(instance)
        work(instance)
    with store.read() as connection:
        assert SECRET in repr(connection.execute(select(sagas)).all()), "there was nothing that could have leaked"
    assert leaks_in(home) == []
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


def test_no_fault_outside_the_database_carries_words_into_dagster(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    faults: list[tuple[str, How]] = [
        ("ponder", "permanent"),
        ("ponder", "passing"),
        ("seal", "permanent"),
        ("deliver", "permanent"),
        ("deliver", "passing"),
        ("deliver", "stubborn"),
    ]
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        for number, (where, how) in enumerate(faults):
            gate = str(tmp_path / f"gate{number}")
            saga_id = begin(store, f"p{number}", LETTER, fail_at=where, how=how, text=SECRET, gate=gate)
            work(instance, LETTER, ids=[saga_id])
            work(instance, LETTER, ids=[saga_id])
    assert leaks_in(home) == []
    assert SECRET not in "".join(capfd.readouterr())


def test_a_run_in_a_process_of_its_own_leaves_no_word_in_its_compute_logs(store: Store, tmp_path: Path) -> None:
    for number, (where, how) in enumerate(FAULTS):
        if how != "unwritable":
            begin(store, f"p{number}", fail_at=where, how=how, text=SECRET)
    home = tmp_path / "dagster"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", "-m", "selo_dagster.definitions", "-j", "saga_keepsake"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        check=False,
    )
    said = done.stdout + done.stderr
    assert "claimed 10 sagas to go forward" in said
    assert "RUN_FAILURE" in said
    assert SECRET not in said
    assert leaks_in(home) == []
