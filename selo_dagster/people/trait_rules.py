"""What holds of every trait: its category, the range it stays in, and the value that it drifts home to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

Health = Literal["healthy", "monitoring", "needs_attention"]

CATEGORIES: Final = ("cognitive", "emotional", "social", "learning", "personality", "communication", "general")
"""Of the predecessor, as are the categories, baselines and numbers below."""

RANGES: Final[Mapping[str, tuple[float, float]]] = {"social": (0.2, 1.0), "emotional": (0.1, 1.0)}
"""Values that a trait of a category may have; 0-1 for the others. A companion never becomes cold or rude."""

LARGEST_DELTA: Final = 0.2
"""Of one trait in one evolution."""

MOST_TRAITS: Final = 40
"""Of one persona: more wishes for new ones come to nothing."""

MADE_AT: Final = 0.5
"""Where a trait begins that nobody had."""

LOCKED_FROM_THE_BEGINNING: Final = frozenset({"integrity"})

STEPS: Final = 6
"""Decimals of a value: sums of tenths would not come back to where they were."""

_CATEGORY_OF: Final[Mapping[str, str]] = {
    "analytical": "cognitive",
    "analytical_thinking": "cognitive",
    "creativity": "cognitive",
    "creative": "cognitive",
    "focused": "cognitive",
    "problem_solving": "cognitive",
    "empathy": "emotional",
    "emotional_stability": "emotional",
    "calm": "emotional",
    "stressed": "emotional",
    "anxious": "emotional",
    "overwhelmed": "emotional",
    "frustrated": "emotional",
    "peaceful": "emotional",
    "content": "emotional",
    "confident": "emotional",
    "helpfulness": "social",
    "politeness": "social",
    "patience": "social",
    "curiosity": "learning",
    "curious": "learning",
    "adaptability": "learning",
    "openness": "personality",
    "conscientiousness": "personality",
    "extraversion": "personality",
    "agreeableness": "personality",
    "neuroticism": "personality",
    "formality": "communication",
    "directness": "communication",
    "verbosity": "communication",
    "humor": "communication",
    "conciseness": "communication",
}
_BASELINES: Final[Mapping[str, float]] = {
    "stressed": 0.3,
    "anxious": 0.25,
    "overwhelmed": 0.2,
    "frustrated": 0.3,
    "calm": 0.6,
    "confident": 0.65,
    "content": 0.6,
    "peaceful": 0.6,
    "curious": 0.7,
    "curiosity": 0.7,
    "analytical": 0.6,
    "analytical_thinking": 0.6,
    "creative": 0.6,
    "creativity": 0.6,
    "focused": 0.6,
    "empathy": 0.7,
    "helpfulness": 0.75,
    "patience": 0.6,
    "politeness": 0.7,
    "adaptability": 0.65,
    "openness": 0.7,
}
RATE: Final = 0.05
LEAST_DRIFT: Final = 0.01
FAR: Final = 0.3
EXTREME: Final = (0.1, 0.9)
MOST_EXTREMES: Final = 3
MOST_FAR: Final = 5


def trait_name(text: str) -> str | None:
    """Return a trait's name as it is stored: small letters, digits and underscores; None for no name at all."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    name = re.sub(r"[\W_]+", "_", plain).strip("_")[:80].strip("_")
    return name if name and not name[0].isdigit() else None


def category_of(name: str) -> str:
    """Return the category of a trait that nobody put into one."""
    return _CATEGORY_OF.get(name, "general")


def is_known(name: str) -> bool:
    """Tell whether a trait's name is one of ours: any other is a model's own words, and as private as they are."""
    return name in _CATEGORY_OF or name in _BASELINES


def clamped(value: float, category: str) -> float:
    """Return a value inside the range of its category."""
    low, high = RANGES.get(category, (0.0, 1.0))
    return round(min(high, max(low, value)), STEPS)


def brought(base: float, shares: Iterable[float], category: str) -> float:
    """Return where shares bring a trait one after the other, each held within the range of its category."""
    value = base
    for share in shares:
        value = clamped(value + share, category)
    return value


def without(value: float, base: float, shares: Sequence[float], left: Sequence[float], category: str) -> float:
    """Return a trait's value when only the shares that are left have brought it from its base.

    value: its value with all shares; what somebody else than a share has added to it stays.
    """
    return clamped(value + brought(base, left, category) - brought(base, shares, category), category)


def baseline_of(name: str) -> float:
    """Return the value that a trait drifts home to."""
    return _BASELINES.get(name, 0.5)


def drift(name: str, value: float, stability: float) -> float:
    """Return by how much a trait drifts home in one day; 0 where that is less than a hundredth.

    stability: 0-1. rate = 0.05 (1 + d/2) (1 - 0.3 stability), d the distance from home.
    """
    away = baseline_of(name) - value
    rate = RATE * (1 + 0.5 * abs(away)) * (1 - 0.3 * stability)
    step = round(away * rate, STEPS)
    return step if abs(step) >= LEAST_DRIFT else 0.0


def is_extreme(value: float) -> bool:
    """Tell whether a trait has come to an end of its scale."""
    return value < EXTREME[0] or value > EXTREME[1]


def health_of(values: Iterable[tuple[str, float]]) -> Health:
    """Say how a persona is, from the names and values of its traits.

    More than three at an end of the scale, or more than five far from home, need somebody's attention.
    """
    known = list(values)
    extremes = sum(is_extreme(value) for _, value in known)
    far = sum(round(abs(value - baseline_of(name)), STEPS) > FAR for name, value in known)
    if extremes > MOST_EXTREMES or far > MOST_FAR:
        return "needs_attention"
    return "monitoring" if extremes or far else "healthy"
