"""Reflections that something caused: a strong memory, a surge of feeling, much learned in a short time."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from selo_dagster.reflections.cadences.by_cause import ByCause
from selo_dagster.reflections.kind import Flavour, Kind
from selo_dagster.reflections.prompt import REFLECTING
from selo_dagster.reflections.recipes.cause import cause
from selo_dagster.reflections.shapes.reflection import REFLECTION

_WORDS: Final = (70, 200)

TRIGGERED: Final = Kind(
    name="triggered",
    asset="triggered_reflection",
    job="triggered_reflections",
    schedule="triggered_reflections_schedule",
    due="now, or after the delay of the rule that caused it",
    purpose="Reflects on a strong memory, a surge of feeling or much that was learned, at once.",
    cadence=ByCause(),
    recipe=cause,
    shape=REFLECTION,
    instructions=REFLECTING.format(what="on what has just happened to the person named below"),
    words=_WORDS,
    upstream=("messages", "memories"),
    place=60,
    priority=10,
    flavours=MappingProxyType(
        {
            "memory": Flavour(
                REFLECTING.format(what="on a memory of the person named below that weighs much"), (70, 250)
            ),
            "emotional": Flavour(
                REFLECTING.format(what="on a strong feeling of the person named below, gently and without judging"),
                _WORDS,
            ),
            "knowledge": Flavour(
                REFLECTING.format(what="on what was lately learned about the person named below"), _WORDS
            ),
        }
    ),
)
