"""Whether everything is there that should be: tables, jobs, schedules, sensors; and what of it is switched off."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster_shared.utils.warnings import BetaWarning
from sqlalchemy import Connection, inspect

from selo_dagster.reflections.kinds import KINDS
from selo_dagster.sagas.registry import registry
from selo_dagster.store.base import metadata

SENSORS: Final = ("alerts", "due_requests", "memory_events", "resource_guard", "saga_monitor", "saga_runs")
OF_NO_KIND: Final = ("housekeeping", "plan_night", "status_checks", "sync_users")
"""Jobs that are about no kind of reflection; each has a schedule."""
NAMED: Final = {InstigatorType.SCHEDULE: "schedule", InstigatorType.SENSOR: "sensor"}
"""What can be switched off, and how it is called."""


@dataclass(frozen=True)
class Checked:
    """What a self-check found. missing: names that should be there; switched_off: schedules and sensors stopped."""

    missing: tuple[str, ...]
    switched_off: tuple[str, ...]


def missing_tables(connection: Connection) -> list[str]:
    """Return the tables of this code that the database lacks."""
    there = set(inspect(connection).get_table_names())
    return [f"table {name}" for name in sorted(metadata.tables) if name not in there]


def missing_definitions(defs: dg.Definitions) -> list[str]:
    """Return the jobs, schedules, sensors and assets that the kinds ask for and the code location lacks."""
    with warnings.catch_warnings():
        # Dagster warns of a parameter of its own when it binds a sensor to its jobs.
        warnings.simplefilter("ignore", BetaWarning)
        repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    schedules = {one.name for one in repository.schedule_defs}
    sensors = {one.name for one in repository.sensor_defs}
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    wanted = [
        *((f"job {name}", name in jobs) for name in (*OF_NO_KIND, *(kind.job for kind in KINDS.values()))),
        *(
            (f"schedule {name}", name in schedules)
            for name in (*(f"{job}_schedule" for job in OF_NO_KIND), *(kind.schedule for kind in KINDS.values()))
        ),
        *((f"job saga_{name}", f"saga_{name}" in jobs) for name in registry().newest),
        *((f"sensor {name}", name in sensors) for name in SENSORS),
        *((f"asset {kind.asset}", kind.asset in assets) for kind in KINDS.values()),
    ]
    return [name for name, there in wanted if not there]


def switched_off(instance: dg.DagsterInstance) -> list[str]:
    """Return the schedules and sensors of this project that somebody stopped; all of them run by default."""
    # Not with the code location: it loads what stands for whole repositories.
    from dagster._core.scheduler.instigation import InstigatorStatus

    ours = {f"{name}_schedule" for name in OF_NO_KIND}
    ours |= {*SENSORS, *(kind.schedule for kind in KINDS.values())}
    return sorted(
        f"{NAMED[state.instigator_type]} {state.name}"
        for state in instance.all_instigator_state()
        if state.instigator_type in NAMED and state.name in ours and state.status == InstigatorStatus.STOPPED
    )


def self_check(connection: Connection, instance: dg.DagsterInstance) -> Checked:
    """Check this installation: the database against the tables, the code location against the kinds."""
    from selo_dagster.definitions import defs

    return Checked(
        (*missing_tables(connection), *missing_definitions(defs)),
        tuple(switched_off(instance)),
    )
