"""The audit of what people answered."""

from __future__ import annotations

from datetime import time
from typing import Final

from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.recipes.answers import answers
from selo_dagster.reflections.shapes.audit import AUDIT

FRIDAY: Final = 4

RELATIONSHIP_ANSWER_AUDIT: Final = Kind(
    name="relationship_answer_audit",
    asset="relationship_answer_audit",
    job="relationship_answer_audit",
    schedule="relationship_answer_audit_schedule",
    due="Saturday 02:05",
    purpose="Looks for answers that say the same, and proposes which to merge; asks no model.",
    cadence=Latest(at=time(2, 5), reads="answers", weekday=FRIDAY),
    recipe=answers,
    shape=AUDIT,
    instructions="",
    words=(0, 0),
    upstream=("memories",),
    lane="none",
    place=50,
)
