"""The nightly job that deletes what is older than its retention."""

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import SystemClock
from selo_dagster.operations.housekeeping.dagster_runs import GROUP, prune_runs
from selo_dagster.operations.housekeeping.round import FOR_S, Budget, keep_house
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

NAME = "housekeeping"


@dg.op(
    name="delete_what_is_old",
    description="Deletes what is older than its retention, a table after the other and then Dagster's runs, for an "
    "hour at most; what keeps anything from being done twice stays.",
    out=dg.Out(dg.Nothing),
)
def delete_what_is_old(context: dg.OpExecutionContext) -> None:
    """Do it, and say how many rows of each table are gone."""
    with private_boundary(NAME):
        settings, now, budget = process_settings(), SystemClock().now(), Budget(FOR_S)
        with open_store(settings) as store:
            done = keep_house(store, now, settings, budget=budget)
        runs = prune_runs(
            context.instance, now, settings.dagster_run_keep_days, settings.dagster_failure_keep_days, budget=budget
        )
        context.add_output_metadata(
            {
                **{one.table: one.rows for one in done.done},
                GROUP: runs.deleted,
                f"{GROUP}_kept_for_a_status": runs.holding,
                "finished": int(done.finished and runs.finished),
            }
        )


@dg.job(
    name=NAME,
    description="Deletes what is older than its retention; safe to run at any time.",
    executor_def=dg.in_process_executor,
    tags={"selo/housekeeping": "nightly"},
)
def housekeeping() -> None:
    """One op."""
    delete_what_is_old()


housekeeping_schedule = dg.ScheduleDefinition(
    name=f"{NAME}_schedule",
    job=housekeeping,
    cron_schedule="40 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night: what is older than its retention is deleted.",
)
