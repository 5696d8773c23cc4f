"""The operations room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.operations.alerts.sensor import alerts_sensor
from selo_dagster.operations.asset_checks import status_checks, status_checks_job, status_checks_schedule
from selo_dagster.operations.guard_sensor import resource_guard_sensor
from selo_dagster.operations.housekeeping_job import housekeeping, housekeeping_schedule
from selo_dagster.operations.planning.asset import night_plan_asset, plan_night_job, plan_night_schedule

definitions = dg.Definitions(
    assets=[night_plan_asset()],
    jobs=[housekeeping, plan_night_job, status_checks_job],
    schedules=[housekeeping_schedule, plan_night_schedule, status_checks_schedule],
    sensors=[resource_guard_sensor(), alerts_sensor()],
    asset_checks=[status_checks()],
)
