"""Works sagas off here and waits: what `selo saga run` does, by the same jobs that the sensor asks for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning
from sqlalchemy import select

from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.home import prepare_home
from selo_dagster.reflections.launch import QUIET
from selo_dagster.sagas.check import require_definitions
from selo_dagster.sagas.claim import claimable_count
from selo_dagster.sagas.compiler import job_name
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.ops import CLAIM
from selo_dagster.sagas.reconcile import reconcile, runs_that_hold
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.sensors import run_ends
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.opening import open_store

MOST_RUNS: Final = 10_000


@dataclass
class WorkedOff:
    """What was done here. counts: sagas that were worked on by their state now; runs: of Dagster."""

    counts: dict[str, int] = field(default_factory=dict)
    runs: int = 0


def work_off(only: str | None = None) -> WorkedOff:
    """Run the jobs of all sagas that can be claimed, undo first, until none can; returns what came of them.

    Raises SeloError `stranded_sagas` when a definition that a saga needs is gone or changed, `stuck` when a run
    cannot even claim.
    """
    settings = process_settings()
    prepare_home(settings)
    done = WorkedOff()
    touched: set[str] = set()
    known = registry()
    with open_store(settings) as store, dg.DagsterInstance.get() as instance:
        with store.read() as connection:
            require_definitions(connection, known, SystemClock().now())
        while done.runs < MOST_RUNS:
            _reconcile(store, instance)
            found = _next(store, only)
            if found is None:
                break
            saga, direction = found
            run_id, success = _run(instance, saga, direction)
            done.runs += 1
            with store.read() as connection:
                held = set(connection.execute(select(sagas.c.id).where(sagas.c.run_id == run_id)).scalars())
            if not held and not success:
                raise SeloError(
                    "stuck", f"run {run_id} of {saga.name} failed before it claimed anything: look at it in the UI"
                )
            touched |= held
        with store.read() as connection:
            rows = connection.execute(select(sagas.c.id, sagas.c.state)).all()
    for row in rows:
        if row.id in touched:
            done.counts[row.state] = done.counts.get(row.state, 0) + 1
    return done


def _reconcile(store: Store, instance: dg.DagsterInstance) -> None:
    with store.read() as connection:
        ends = run_ends(instance, runs_that_hold(connection))
    with store.write() as connection:
        reconcile(connection, registry(), ends, SystemClock().now())


def _next(store: Store, only: str | None) -> tuple[Saga, str] | None:
    now = SystemClock().now()
    with store.read() as connection:
        for saga in registry().by_version.values():
            if only in {None, saga.name}:
                for direction in (COMPENSATE, FORWARD):
                    if claimable_count(connection, saga, direction, now):
                        return saga, direction
    return None


def _run(instance: dg.DagsterInstance, saga: Saga, direction: str) -> tuple[str, bool]:
    from selo_dagster.definitions import defs

    newest = registry().newest[saga.name] is saga
    config: Mapping[str, object] = {"ops": {CLAIM: {"config": {"direction": direction}}}, **QUIET}
    with warnings.catch_warnings():
        # Dagster warns of a parameter of its own when it binds a sensor to its jobs.
        warnings.simplefilter("ignore", BetaWarning)
        job = defs.resolve_job_def(job_name(saga, newest=newest))
        result = job.execute_in_process(instance=instance, run_config=dict(config), raise_on_error=False)
    return result.run_id, result.success
