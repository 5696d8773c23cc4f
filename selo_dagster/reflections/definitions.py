"""The reflections room's face in Dagster."""

from __future__ import annotations

import dagster as dg

from selo_dagster.reflections.assets import memories, messages, reflection_assets
from selo_dagster.reflections.jobs import job_of
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.resource import MIND, Mind
from selo_dagster.reflections.schedules import schedule_of
from selo_dagster.reflections.sensors import due_requests_sensor

jobs = {name: job_of(kind) for name, kind in KINDS.items()}

definitions = dg.Definitions(
    assets=[messages, memories, *reflection_assets.values()],
    resources={MIND: Mind()},
    jobs=list(jobs.values()),
    sensors=[due_requests_sensor(KINDS, jobs)],
    schedules=[schedule_of(kind, jobs[name]) for name, kind in KINDS.items()],
)
