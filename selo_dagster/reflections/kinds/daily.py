"""The daily reflection."""

from __future__ import annotations

from typing import Final

from selo_dagster.reflections.cadences.every_date import EveryDate
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import REFLECTING
from selo_dagster.reflections.recipes.day import day
from selo_dagster.reflections.shapes.reflection import REFLECTION

DAILY: Final = Kind(
    name="daily",
    asset="daily_reflection",
    job="daily_reflections",
    schedule="daily_reflections_schedule",
    due="00:00 of each person's own next day",
    purpose="Reflects on the local day that ended: what was said, what is remembered of it.",
    cadence=EveryDate(),
    recipe=day,
    shape=REFLECTION,
    instructions=REFLECTING.format(what="on the day of the person named below"),
    words=(70, 200),
    upstream=("messages", "memories"),
    chain="nightly_reflections",
    place=10,
)
