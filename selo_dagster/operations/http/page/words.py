"""Numbers, spans and names as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from selo_dagster.clock import UTC

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def number(value: int) -> str:
    """Return 12345 as `12 345`, with a space that does not break."""
    return f"{value:,}".replace(",", "\u202f")


def short(value: int) -> str:
    """Return a number in at most four characters: 950, 1.2k, 34k, 1.2M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f}".removesuffix(".0") + unit if scaled < 10 else f"{scaled:.0f}{unit}"
    return str(value)


def span(seconds: float) -> str:
    """Return seconds in at most two units: `3 h 20 min`, `45 s`, `0.4 s`."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "\u00a0s"
    if seconds < 60:
        return f"{seconds:.0f}\u00a0s"
    for place, (unit, length) in enumerate(_UNITS):
        if seconds >= length:
            whole, rest = divmod(int(seconds), length)
            said = f"{whole}\u00a0{unit}"
            if place + 1 < len(_UNITS):
                smaller, size = _UNITS[place + 1]
                if rest >= size:
                    said += f" {rest // size}\u00a0{smaller}"
            return said
    raise AssertionError(seconds)


def day(on: date) -> str:
    """Return a date as `Fri 27 Nov`."""
    return f"{on:%a} {on.day} {on:%b}"


def moment(at: datetime) -> str:
    """Return an instant as `27 Nov 14:05 UTC`."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b} {at:%H:%M} UTC"


def plain(name: str) -> str:
    """Return a code as words: `waiting_for_daily` → `waiting for daily`."""
    return name.replace("_", " ")


def listed(counts: Mapping[str, int]) -> str:
    """Return counts, the largest first and nought left out: `waiting for daily 3, superseded 1`."""
    largest_first = sorted((one for one in counts.items() if one[1]), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{plain(name)}\u00a0{number(value)}" for name, value in largest_first)


def counted(value: int, one: str, many: str) -> str:
    """Return `1 thing`, `3 things`."""
    return f"{number(value)} {one if value == 1 else many}"
