"""The people room's face in Dagster: the `users` partitions and the job that keeps them in step."""

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.people.partitions import PARTITIONS, sync_partitions
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.settings import process_settings
from selo_dagster.store.job_runs import Tally, noted
from selo_dagster.store.opening import open_store

users_partitions = dg.DynamicPartitionsDefinition(name=PARTITIONS)


@dg.op(
    name="add_missing_partitions",
    description="Adds a partition for every person in the store that has none. Never deletes one.",
    out=dg.Out(dg.Nothing),
)
def add_missing_partitions(context: dg.OpExecutionContext) -> None:
    """Bring the partitions in step and say what changed."""
    done = Tally()
    with (
        private_boundary("sync_users"),
        open_store(process_settings()) as store,
        noted(store, context.run_id, "sync_users", lambda: done),
    ):
        found = sync_partitions(store, context.instance)
        done = Tally(total=found.people, succeeded=found.people)
        context.log.info(f"zone rules: {zone_rules_version()}")
        context.add_output_metadata({"people": found.people, "added": found.added, "retired": found.retired})


@dg.job(
    name="sync_users",
    description="Keeps the `users` partitions in step with the store.",
    executor_def=dg.in_process_executor,
)
def sync_users() -> None:
    """One op; safe to run at any time."""
    add_missing_partitions()


sync_users_schedule = dg.ScheduleDefinition(
    name="sync_users_schedule",
    job=sync_users,
    cron_schedule="*/15 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 15 minutes: people who are new in the store get their partition.",
)

definitions = dg.Definitions(jobs=[sync_users], schedules=[sync_users_schedule])
