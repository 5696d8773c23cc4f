"""The plan of the coming day as an asset: numbers by the hour, which the UI plots."""

from collections.abc import Callable
from typing import Final

import dagster as dg

from selo_dagster.boundary import private_boundary
from selo_dagster.clock import Clock, SystemClock
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store

NAME: Final = "night_plan"
JOB: Final = "plan_night"
HOURS: Final = 24


def night_plan_asset(clock: Callable[[], Clock] = SystemClock) -> dg.AssetsDefinition:
    """Build the asset. It writes nothing but its metadata."""

    @dg.asset(
        name=NAME,
        description="Whether the coming 24 hours fit: what is due, how long it takes, and what would be late.",
        kinds={"selo"},
    )
    def plan_it(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        # What it counts with is not needed for loading the code location.
        from selo_dagster.operations.planning.night_plan import night_plan, sentence
        from selo_dagster.operations.planning.simulate import round_late
        from selo_dagster.operations.planning.ways import ways_of
        from selo_dagster.reflections.days import fold_stream

        settings, now = process_settings(), clock().now()
        with private_boundary(JOB), open_store(settings) as store:
            fold_stream(store)
            with store.read() as connection:
                plan = night_plan(connection, settings, now, HOURS, ways_of(settings, context.instance))
        ends = plan.course.ends_at
        return dg.MaterializeResult(
            metadata={
                "due": sum(one.number for one in plan.batches),
                "likely": sum(one.likely for one in plan.batches),
                "seconds": round(plan.seconds(), 1),
                "model_calls": plan.calls(),
                "tokens": plan.tokens(),
                **({} if ends is None else {"ends_in_s": (ends - now).total_seconds()}),
                "late": plan.course.late,
                "would_shed": sum(plan.shed.values()),
                "waits_for_budget": sum(plan.put_off().values()),
                "fits": int(plan.fits),
                "slots": plan.ways.slots,
                "longest_lag_s": max(one.lag_s for one in plan.course.courses.values()),
                **{f"late_{name}": round_late(one.late) for name, one in plan.course.courses.items()},
                "says": sentence(plan),
            }
        )

    return plan_it


plan_night_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(NAME),
    description="Plans the coming 24 hours from the ledger and what was measured lately.",
    executor_def=dg.in_process_executor,
)

plan_night_schedule = dg.ScheduleDefinition(
    name=f"{JOB}_schedule",
    job=plan_night_job,
    cron_schedule="15 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A quarter past each hour: says anew whether the coming 24 hours fit.",
)
