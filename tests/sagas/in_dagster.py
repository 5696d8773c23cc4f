"""Running the jobs of the tests' sagas in this process, and reading what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import Table, func, select

# Before any test names sagas of its own: the code location of this process keeps those that are ours.
import selo_dagster.definitions
from selo_dagster.clock import SystemClock
from selo_dagster.sagas.compiler import job_of
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.resource import LEASE, SagaLease
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import saga_steps, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.sagas.dagster_sagas import KEEPSAKE, LETTER, How
from tests.support.fakes import add_person

assert selo_dagster.definitions.defs is not None

MODULE = "tests.sagas.dagster_sagas"
JOBS = {(saga.name, saga.version): job_of(saga) for saga in (KEEPSAKE, LETTER)}
STEPS = ("remember", "plan", "weigh", "promise")


@contextmanager
def with_sagas(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the settings name this store, and the module of the tests' sagas."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("SELO_SAGA_MODULES", MODULE)
    process_settings.cache_clear()
    registry.cache_clear()
    yield
    registry.cache_clear()


def begin(
    store: Store,
    user: str,
    saga: Saga = KEEPSAKE,
    *,
    fail_at: str = "",
    how: How = "",
    text: str = "a walk by the sea",
    gate: str = "",
) -> str:
    """Ask for a saga of a person, who is added; returns its id."""
    add_person(store, user)
    return again(store, user, saga, fail_at=fail_at, how=how, text=text, gate=gate)


def again(store: Store, user: str, saga: Saga = KEEPSAKE, *, text: str = "a walk by the sea", **behaviour: str) -> str:
    """Ask for a saga of a person who is there; returns its id."""
    with store.write() as connection:
        started = start(
            connection,
            saga,
            user_id=user,
            key=uuid4().hex,
            given={"text": text, "behaviour": behaviour},
            now=SystemClock().now(),
            new_id=lambda: uuid4().hex,
        )
    return started.id


def config(direction: str = "", ids: Sequence[str] = ()) -> dict[str, Any]:
    """Return a run's config: the direction, and the only sagas to claim."""
    return {
        "ops": {"claim": {"config": {"direction": direction, "saga_ids": list(ids)}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def work(
    instance: dg.DagsterInstance, saga: Saga = KEEPSAKE, direction: str = "", ids: Sequence[str] = (), **given: Any
) -> dg.ExecuteInProcessResult:
    """Execute a saga's job."""
    return JOBS[saga.name, saga.version].execute_in_process(
        instance=instance,
        run_config=config(direction, ids),
        resources={LEASE: SagaLease()},
        raise_on_error=False,
        **given,
    )


def saga_row(store: Store, saga_id: str) -> Any:
    """Return a saga's row."""
    with store.read() as connection:
        return connection.execute(select(sagas).where(sagas.c.id == saga_id)).one()


def state(store: Store, saga_id: str) -> str:
    """Return a saga's state."""
    return str(saga_row(store, saga_id).state)


def states(store: Store) -> dict[str, str]:
    """Return each person's state, or that of the last saga of a person with several."""
    with store.read() as connection:
        rows = connection.execute(select(sagas.c.user_id, sagas.c.state).order_by(sagas.c.place))
        return {row.user_id: row.state for row in rows}


def steps(store: Store, saga_id: str) -> dict[str, str]:
    """Return the state of each step that has one."""
    with store.read() as connection:
        rows = connection.execute(select(saga_steps.c.step, saga_steps.c.state).where(saga_steps.c.saga_id == saga_id))
        return {row.step: row.state for row in rows}


def count(store: Store, table: Table, **chosen: Any) -> int:
    """Return how many rows a table has."""
    with store.read() as connection:
        return int(
            connection.execute(
                select(func.count())
                .select_from(table)
                .where(*(table.c[name] == value for name, value in chosen.items()))
            ).scalar_one()
        )


def succeeded(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return the ops that ended green, in their order."""
    return [str(event.step_key) for event in result.get_step_success_events()]


def failed(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return the ops that ended red with the messages of their errors."""
    found = {}
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        assert error is not None
        found[str(event.step_key)] = error.message
    return found


def skipped(result: dg.ExecuteInProcessResult) -> set[str]:
    """Return the ops that were skipped."""
    return {str(event.step_key) for event in result.get_step_skipped_events()}


def tags(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Return a run's tags that are ours."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return {name: value for name, value in run.tags.items() if name.startswith("selo/")}


def keepsake_job() -> dg.JobDefinition:
    """Return a job that Dagster can find again by its name, as a re-execution needs it."""
    bound = dg.Definitions(jobs=[JOBS["keepsake", 1]], resources={LEASE: SagaLease()})
    return bound.resolve_job_def("saga_keepsake")


def re_execute(instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """Re-execute a run from failure, as the button does."""
    return dg.execute_job(
        dg.reconstructable(keepsake_job),
        instance=instance,
        raise_on_error=False,
        reexecution_options=dg.ReexecutionOptions.from_failure(run_id, instance),
    )
