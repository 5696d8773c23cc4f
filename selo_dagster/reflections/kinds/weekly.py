"""The weekly reflection."""

from __future__ import annotations

from datetime import time
from typing import Final

from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds.daily import DAILY
from selo_dagster.reflections.prompt import REFLECTING
from selo_dagster.reflections.recipes.week import DAYS, week
from selo_dagster.reflections.shapes.reflection import REFLECTION

SATURDAY: Final = 5

WEEKLY: Final = Kind(
    name="weekly",
    asset="weekly_reflection",
    job="weekly_reflections",
    schedule="weekly_reflections_schedule",
    due="Sunday 00:00, once the week's dailies are done",
    purpose="Reflects on the seven local days before: on their dailies, and on what these rest on.",
    cadence=Latest(at=time(0, 0), reads="days", days=DAYS, weekday=SATURDAY, after=DAILY),
    recipe=week,
    shape=REFLECTION,
    instructions=REFLECTING.format(
        what="on the past week of the person named below: what changed, what stayed, what returned"
    ),
    words=(70, 200),
    upstream=("daily_reflection", "messages", "memories"),
    place=20,
)
