"""The nightly job that deletes what is older than its retention."""

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import SystemClock
from selo_dagster.operations.housekeeping import keep_house
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

NAME = "housekeeping"


@dg.op(
    name="delete_what_is_old",
    description="Deletes events of the stream that every reader has read and that are older than SELO_EVENT_KEEP_DAYS.",
    out=dg.Out(dg.Nothing),
)
def delete_what_is_old(context: dg.OpExecutionContext) -> None:
    """Do it, and say how many rows are gone."""
    with private_boundary(NAME):
        settings = process_settings()
        with open_store(settings) as store:
            done = keep_house(store, SystemClock().now(), settings.event_keep_days)
        context.add_output_metadata({"events": done.events})


@dg.job(
    name=NAME,
    description="Deletes what is older than its retention; safe to run at any time.",
    executor_def=dg.in_process_executor,
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
