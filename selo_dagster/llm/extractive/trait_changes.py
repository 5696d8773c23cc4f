"""How a day moves the companion's traits, by a little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.lexicon import HEAVY
from selo_dagster.llm.extractive.outlook import ahead

EMPATHY: Final = "empathy"
POLITENESS: Final = "politeness"
HELPFULNESS: Final = "helpfulness"
CURIOSITY: Final = "curiosity"
ADAPTABILITY: Final = "adaptability"
"""Traits of the initial persona, by name."""

_MOST: Final = 2
_STRONG: Final = 0.5
_LIGHT: Final = frozenset({"joy", "excitement", "pride", "hope", "relief", "love", "tenderness"})
_THANKFUL: Final = "gratitude"


def trait_changes_of(day: Day) -> list[dict[str, Any]]:
    """Return at most two changes, each with a reason that quotes nobody; none where little was said."""
    if day.is_quiet:
        return []
    found = [{"name": name, "delta": delta, "reason": reason} for name, delta, reason in _moved(day)]
    return found[:_MOST]


def _moved(day: Day) -> Iterator[tuple[str, float, str]]:
    if day.feelings and day.intensity >= _STRONG:
        feeling = day.strongest_feeling()[0]
        if feeling in HEAVY:
            yield EMPATHY, 0.02, f"There was much {feeling} in what was said."
        elif feeling == _THANKFUL:
            yield POLITENESS, 0.01, f"There was much {feeling} in what was said."
        elif feeling in _LIGHT:
            yield HELPFULNESS, 0.01, f"There was much {feeling} in what was said."
    if day.open_question() is not None:
        yield CURIOSITY, 0.01, "A question was left open at the end."
    if any(read.is_theirs and ahead(read.text)[0] == 2 for read in day.reads):
        yield ADAPTABILITY, 0.01, "Something was told that is still ahead."
