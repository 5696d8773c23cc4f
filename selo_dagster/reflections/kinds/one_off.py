"""A reflection that somebody asked for, at a time or after a delay."""

from __future__ import annotations

from typing import Final

from selo_dagster.reflections.cadences.by_cause import ByCause
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.prompt import REFLECTING
from selo_dagster.reflections.recipes.cause import cause
from selo_dagster.reflections.shapes.reflection import REFLECTION

ONE_OFF: Final = Kind(
    name="one_off",
    asset="one_off_reflection",
    job="one_off_reflections",
    schedule="one_off_reflections_schedule",
    due="at the time or after the delay asked for",
    purpose="Reflects on what was given with a request, at its time.",
    cadence=ByCause(),
    recipe=cause,
    shape=REFLECTION,
    instructions=REFLECTING.format(what="on what was given about the person named below, and what lies around it"),
    words=(70, 200),
    upstream=("messages", "memories"),
    place=70,
    priority=10,
)
