"""The adaptive interval: pure arithmetic over what a person lately did. All constants are the predecessor's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

SHORTEST_S: Final = 300.0
LONGEST_S: Final = 172_800.0
DEFAULT_S: Final = 86_400.0
ACTIVITY_WEIGHT: Final = 0.6
IMPORTANCE_WEIGHT: Final = 0.3
RESOURCE_WEIGHT: Final = 0.1
ADAPTATION: Final = 0.2
KEPT: Final = 100
LOOKED_AT: Final = timedelta(hours=24)
USUAL: Final = 0.5
"""Activity, level and importance where nothing is known."""

Level = tuple[datetime, float]
"""An instant and how lively it was, 0–1."""


def level_of(messages: int, characters: int) -> float:
    """Return how lively some messages are, 0–1: a fifth each, and their length."""
    return min(1.0, 0.2 * messages + characters / 1_000)


def activity_factor(levels: Sequence[Level], at: datetime) -> float:
    """Return 1 minus the mean of the levels of the last 24 hours, the newest weighing most; 0.5 without any.

    levels: oldest first. So 0 is the liveliest.
    """
    recent = [level for when, level in levels if timedelta(0) <= at - when <= LOOKED_AT]
    if not recent:
        return USUAL
    weights = range(1, len(recent) + 1)
    return 1 - sum(weight * level for weight, level in zip(weights, recent, strict=True)) / sum(weights)


def target_s(activity: float, importance: float, resource: float) -> float:
    """Return the interval, in seconds, that fits; each argument 0–1."""
    share = ACTIVITY_WEIGHT * activity + IMPORTANCE_WEIGHT * (1 - importance) + RESOURCE_WEIGHT * resource
    return SHORTEST_S + (LONGEST_S - SHORTEST_S) * share


def adapted(current_s: float, levels: Sequence[Level], at: datetime, importance: float, resource: float) -> float:
    """Return the interval after one more sign of life at `at`: a fifth of the way to what fits."""
    wanted = target_s(activity_factor(levels, at), importance, resource)
    return min(LONGEST_S, max(SHORTEST_S, current_s + ADAPTATION * (wanted - current_s)))


def kept(levels: Sequence[Level]) -> list[Level]:
    """Return what is worth remembering: the last day's, a hundred at most, oldest first."""
    if not levels:
        return []
    ordered = sorted(levels, key=lambda one: one[0])
    newest = ordered[-1][0]
    return [one for one in ordered if newest - one[0] <= LOOKED_AT][-KEPT:]
