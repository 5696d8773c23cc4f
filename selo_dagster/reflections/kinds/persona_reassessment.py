"""The daily reassessment of the persona."""

from __future__ import annotations

from datetime import time
from typing import Final

from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.kinds.daily import DAILY
from selo_dagster.reflections.recipes.persona import persona
from selo_dagster.reflections.shapes.reassessment import REASSESSMENT

PERSONA_REASSESSMENT: Final = Kind(
    name="persona_reassessment",
    asset="persona_reassessment",
    job="persona_reassessment",
    schedule="persona_reassessment_schedule",
    due="03:00, once that night's daily is done",
    purpose="Lets each trait that was moved drift home a little; asks no model.",
    cadence=Latest(at=time(3, 0), reads="parent", after=DAILY),
    recipe=persona,
    shape=REASSESSMENT,
    instructions="",
    words=(0, 0),
    upstream=("daily_reflection",),
    lane="none",
    place=60,
)
