"""The operations room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.operations.guard_sensor import resource_guard_sensor
from selo_dagster.operations.housekeeping_job import housekeeping, housekeeping_schedule

definitions = dg.Definitions(jobs=[housekeeping], schedules=[housekeeping_schedule], sensors=[resource_guard_sensor()])
