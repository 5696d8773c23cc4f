"""The nights as stacked bars: their geometry, across in percent of the width and down in pixels: text never scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from selo_dagster.operations.http.page.words import day, number, short
from selo_dagster.operations.night_history import OPEN, NightHistory, total
from selo_dagster.reflections.states import BROKEN, DEFERRED, DONE, SKIPPED, UNCHANGED

DUE: Final = "due"
FAILED: Final = "failed"

SERIES: Final = {
    DONE: (DONE,),
    UNCHANGED: (UNCHANGED,),
    SKIPPED: (SKIPPED,),
    DUE: (OPEN, DEFERRED),
    FAILED: BROKEN,
}
"""What a bar is made of, from the bottom up -> the outcomes that count as it."""

HEIGHT: Final = 190
"""Pixels between the base line and the top of the scale."""

ABOVE: Final = 26
BELOW: Final = 40
_LEAST_PART: Final = 3.0
"""Pixels of the smallest number but nought: one failure among ten thousand has to be seen."""

_LEAST_SHARE: Final = 1.5
"""The same of a flat bar, in percent."""

_OF_THE_SLOT: Final = 0.68


@dataclass(frozen=True)
class Part:
    """One segment. x and width in percent, y and height in pixels."""

    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Bar:
    """One night. middle: in percent; top: in pixels; failed: what stands above it, empty where nothing failed."""

    on: date
    middle: float
    top: float
    parts: tuple[Part, ...]
    says: str
    failed: str


@dataclass(frozen=True)
class Tick:
    """One line of the scale."""

    y: float
    label: str


@dataclass(frozen=True)
class Plot:
    """The whole picture. base, height: in pixels; totals: by name of the series."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    totals: dict[str, int]
    base: float
    height: float
    says: str

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(self.totals.values())


def in_series(outcomes: Counter[str]) -> dict[str, int]:
    """Return the numbers of the series from numbers by outcome."""
    return {name: sum(outcomes[one] for one in counted) for name, counted in SERIES.items()}


def plot(history: NightHistory) -> Plot:
    """Return the picture of the nights."""
    numbers = [in_series(total(history.of(on))) for on in history.dates]
    top = scale(max(sum(one.values()) for one in numbers))
    base = float(ABOVE + HEIGHT)
    slot = 100.0 / len(numbers)
    bars = [
        _bar(on, one, place * slot, slot, top)
        for place, (on, one) in enumerate(zip(history.dates, numbers, strict=True))
    ]
    marks = [0, top // 2, top] if top % 2 == 0 else [0, top]
    totals = {name: sum(one[name] for one in numbers) for name in SERIES}
    first, last = history.dates[0], history.dates[-1]
    return Plot(
        tuple(bars),
        tuple(Tick(base - HEIGHT * mark / top, short(mark)) for mark in marks),
        totals,
        base,
        base + BELOW,
        f"{len(bars)} nights, {day(first)} to {day(last)}: {said(totals)}",
    )


def said(numbers: dict[str, int]) -> str:
    """Return the numbers in words, nought left out."""
    return ", ".join(f"{number(value)} {name}" for name, value in numbers.items() if value) or "nothing"


def scale(most: int) -> int:
    """Return the end of a scale that holds `most`: 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten, at least 4."""
    size = 1
    while size * 10 < most:
        size *= 10
    return max(4, next(size * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if size * step >= most))


def shares(numbers: Sequence[int], room: float, least: float) -> list[float]:
    """Divide the room by the numbers: what is there gets the least at least; the large ones give what that takes."""
    everything = sum(numbers)
    if not everything:
        return [0.0] * len(numbers)
    room = max(room, least * sum(1 for value in numbers if value))
    made = [max(least, value * room / everything) if value else 0.0 for value in numbers]
    above = [max(0.0, one - least) for one in made]
    kept = (room - sum(made) + sum(above)) / sum(above) if sum(above) else 0.0
    return [one - more * (1 - kept) for one, more in zip(made, above, strict=True)]


def _bar(on: date, numbers: dict[str, int], left: float, slot: float, top: int) -> Bar:
    x, width = left + slot * (1 - _OF_THE_SLOT) / 2, slot * _OF_THE_SLOT
    y = float(ABOVE + HEIGHT)
    parts = []
    values = list(numbers.values())
    for name, height in zip(numbers, shares(values, sum(values) * HEIGHT / top, _LEAST_PART), strict=True):
        if height:
            y -= height
            parts.append(Part(name, x, y, width, height))
    failed = short(numbers[FAILED]) if numbers[FAILED] else ""
    return Bar(on, left + slot / 2, y, tuple(parts), f"{day(on)}: {said(numbers)}", failed)


def strip(numbers: dict[str, int]) -> tuple[Part, ...]:
    """Return numbers as one flat bar of the full width."""
    parts, x = [], 0.0
    for name, width in zip(numbers, shares(list(numbers.values()), 100.0, _LEAST_SHARE), strict=True):
        if width:
            parts.append(Part(name, x, 0.0, width, 0.0))
            x += width
    return tuple(parts)
