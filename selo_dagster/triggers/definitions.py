"""The triggers room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.reflections.definitions import jobs
from selo_dagster.triggers.asking import TRIGGERED
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.sensors import memory_events_sensor

definitions = dg.Definitions(sensors=[memory_events_sensor(catalogue(), jobs[TRIGGERED.name])])
