"""Works sagas off here and waits: what `selo saga run` does, by the same jobs that the sensor asks for."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning
from sqlalchemy import select

from selo_dagster.clock import Clock, clock_at
from selo_dagster.errors import SeloError
from selo_dagster.home import prepare_home
from selo_dagster.people.history import chunked
from selo_dagster.reflections.launch import QUIET
from selo_dagster.sagas.check import require_definitions
from selo_dagster.sagas.claim import claimable_count
from selo_dagster.sagas.compiler import job_name
from selo_dagster.sagas.conversations import start_ended
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.episodes import start_ready_episodes
from selo_dagster.sagas.ops import CLAIM, NOW_TAG
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
    """What was done here. by_type: of each type, sagas that were worked on by their state now; runs: of Dagster."""

    by_type: dict[str, Counter[str]] = field(default_factory=dict)
    runs: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers over all types."""
        return dict(sorted(sum(self.by_type.values(), Counter[str]()).items()))


def work_off(only: str | None = None, now: str | None = None) -> WorkedOff:
    """Do what `work_off_in` does, in this home."""
    settings = process_settings()
    prepare_home(settings)
    with open_store(settings) as store, dg.DagsterInstance.get() as instance:
        return work_off_in(store, instance, only, now)


def work_off_in(
    store: Store, instance: dg.DagsterInstance, only: str | None = None, now: str | None = None
) -> WorkedOff:
    """Run the jobs of all sagas that can be claimed, undo first, until none can; returns what came of them.

    First it asks for what ended conversations and sessions ask for. now: ISO-8601, taken for the present instant.
    Raises SeloError `stranded_sagas` when a definition that a saga needs is gone or changed, `stuck` when a run cannot
    even claim.
    """
    clock = clock_at(now)
    done = WorkedOff()
    touched: set[str] = set()
    with store.read() as connection:
        require_definitions(connection, registry(), clock.now())
    start_ended(store, registry(), clock.now())
    start_ready_episodes(store, registry(), clock.now())
    while done.runs < MOST_RUNS:
        reconcile_here(store, instance, clock)
        found = _next(store, only, clock)
        if found is None:
            break
        saga, direction = found
        run_id, success = run_job(instance, saga, direction, now)
        done.runs += 1
        with store.read() as connection:
            held = set(connection.execute(select(sagas.c.id).where(sagas.c.run_id == run_id)).scalars())
        if not held and not success:
            raise SeloError(
                "stuck", f"run {run_id} of {saga.name} failed before it claimed anything: look at it in the UI"
            )
        touched |= held
    with store.read() as connection:
        for part in chunked(sorted(touched)):
            for row in connection.execute(select(sagas.c.type, sagas.c.state).where(sagas.c.id.in_(part))):
                done.by_type.setdefault(row.type, Counter())[row.state] += 1
    return done


def reconcile_here(store: Store, instance: dg.DagsterInstance, clock: Clock) -> None:
    """Bring the journal in step with the runs that have ended."""
    with store.read() as connection:
        ends = run_ends(instance, runs_that_hold(connection))
    with store.write() as connection:
        reconcile(connection, registry(), ends, clock.now())


def _next(store: Store, only: str | None, clock: Clock) -> tuple[Saga, str] | None:
    now = clock.now()
    with store.read() as connection:
        for saga in registry().by_version.values():
            if only in {None, saga.name}:
                for direction in (COMPENSATE, FORWARD):
                    if claimable_count(connection, saga, direction, now):
                        return saga, direction
    return None


def run_job(
    instance: dg.DagsterInstance,
    saga: Saga,
    direction: str,
    now: str | None = None,
    saga_ids: Sequence[str] = (),
) -> tuple[str, bool]:
    """Execute a saga's job in one direction here; returns (run, whether it ended green). saga_ids: only these."""
    from selo_dagster.definitions import defs

    newest = registry().newest[saga.name] is saga
    claiming = {"direction": direction, "saga_ids": list(saga_ids)}
    config: Mapping[str, object] = {"ops": {CLAIM: {"config": claiming}}, **QUIET}
    with warnings.catch_warnings():
        # Dagster warns of a parameter of its own when it binds a sensor to its jobs.
        warnings.simplefilter("ignore", BetaWarning)
        job = defs.resolve_job_def(job_name(saga, newest=newest))
        result = job.execute_in_process(
            instance=instance,
            run_config=dict(config),
            raise_on_error=False,
            tags={NOW_TAG: now} if now else None,
        )
    return result.run_id, result.success
