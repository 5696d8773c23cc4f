"""The operations room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.operations.guard_sensor import resource_guard_sensor

definitions = dg.Definitions(sensors=[resource_guard_sensor()])
