"""What a rule remembers of one person: events inside its windows, and causes that wait for a cooldown to end."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from selo_dagster.clock import UTC
from selo_dagster.triggers.happening import Happening

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BIT: Final = timedelta(microseconds=1)

KEPT: Final = 200
"""Events of one type that one rule remembers of one person at most: the newest."""

CAUSES: Final = 20
"""Causes that one request names at most: the weightiest. More are only counted."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One remembered event. at: UTC; weight: 0-1; marks: what a pattern compares, such as
    fingerprints of fields or the steps that it can be; None: it is only counted, and no pattern sees it."""

    seq: int
    at: datetime
    type: str
    origin: str
    ref: str
    weight: float
    marks: dict[str, str] | None = None

    @classmethod
    def of(cls, one: Happening, marks: dict[str, str] | None = None) -> Kept:
        """Return what is remembered of an event."""
        return cls(one.seq, one.at, one.type, one.origin, one.ref, one.weight, marks)

    def as_json(self) -> list[Any]:
        """Return its form in the database; the instant as microseconds since 1970."""
        return [self.seq, (self.at - _EPOCH) // _BIT, self.type, self.origin, self.ref, self.weight, self.marks]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> Kept:
        """Read its form in the database."""
        seq, at, kind, origin, ref, weight, marks = row
        return cls(
            int(seq), _EPOCH + at * _BIT, kind, origin, ref, float(weight), None if marks is None else dict(marks)
        )


def remember(kept: list[Kept], one: Kept, window_s: float) -> None:
    """Add an event to what is remembered, which is ordered by time, and drop what no window can need any more.

    Two windows back from the newest are kept, since events may come in another order than they happened; at most
    KEPT of each type, so that a storm of one does not push out another. An event that is there gets its marks.
    """
    for place, seen in enumerate(kept):
        if seen.seq == one.seq:
            if one.marks is not None:
                kept[place] = one
            return
    insort(kept, one, key=_place)
    oldest = kept[-1].at - timedelta(seconds=2 * window_s)
    del kept[: bisect_left(kept, (oldest, 0), key=_place)]
    alike = [seen for seen in kept if seen.type == one.type]
    if len(alike) > KEPT:
        kept.remove(alike[0])


def matched(kept: Iterable[Kept]) -> list[Kept]:
    """Return what a pattern sees."""
    return [one for one in kept if one.marks is not None]


def _place(one: Kept) -> tuple[datetime, int]:
    return one.at, one.seq


def weightiest(causes: Iterable[Kept], most: int = CAUSES) -> list[Kept]:
    """Return the causes that weigh most, the newest first among equals; each event once."""
    unique = {one.seq: one for one in causes}
    return sorted(unique.values(), key=lambda one: (-one.weight, -one.at.timestamp(), -one.seq))[:most]
