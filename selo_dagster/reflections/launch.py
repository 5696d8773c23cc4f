"""Runs a kind's Dagster job here and waits: what `selo reflect` and `selo night` do."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning

from selo_dagster.boundary import private_boundary
from selo_dagster.people.partitions import sync_partitions
from selo_dagster.reflections.kind import Kind
from selo_dagster.store.engine import Store

# The command tells what happened itself; the run's log is in the UI.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Ran:
    """A run that ended. failure: its message when it ended red."""

    run_id: str
    failure: str | None


def run_here(store: Store, instance: dg.DagsterInstance, kind: Kind, config: dict[str, Any]) -> Ran:
    """Execute the job of `kind` in this process, as a run of this installation's Dagster instance."""
    from selo_dagster.definitions import defs

    with private_boundary(kind.job):
        sync_partitions(store, instance)
        with warnings.catch_warnings():
            # Dagster warns of a parameter of its own when it binds a sensor to its jobs.
            warnings.simplefilter("ignore", BetaWarning)
            job = defs.get_job_def(kind.job)
        result = job.execute_in_process(
            instance=instance,
            run_config={"ops": {f"reflect_{kind.name}": {"config": config}}, **QUIET},
            raise_on_error=False,
        )
    return Ran(result.run_id, None if result.success else _failure(result))


def _failure(result: dg.ExecuteInProcessResult) -> str:
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        if error is not None:
            return str(error.message).removeprefix("dagster_shared.check.functions.").strip()
    return "the run ended red without a failed step: look at it in the Dagster UI"
