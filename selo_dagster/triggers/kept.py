"""What a rule remembers of one person: events inside its windows, and causes that wait for a cooldown to end."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from selo_dagster.clock import UTC
from selo_dagster.triggers.happening import Happening

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BIT: Final = timedelta(microseconds=1)

KEPT: Final = 200
"""Events of one type that one rule remembers of one person at most: the newest."""

CAUSES: Final = 20
"""Causes that one request names at most: the weightiest. More are only counted."""


class Kept(NamedTuple):
    """One remembered event; as a list it is its form in the database.

    micros: when it happened, in microseconds since 1970; weight: 0-1; marks: what a pattern compares, such as
    fingerprints of fields or the steps that it can be; None: it is only counted, and no pattern sees it.
    """

    seq: int
    micros: int
    type: str
    origin: str
    ref: str
    weight: float
    marks: dict[str, str] | None = None

    @classmethod
    def of(cls, one: Happening, marks: dict[str, str] | None = None) -> Kept:
        """Return what is remembered of an event."""
        return cls(one.seq, (one.at - _EPOCH) // _BIT, one.type, one.origin, one.ref, one.weight, marks)

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        return _EPOCH + self.micros * _BIT


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
    oldest = kept[-1].micros - int(2_000_000 * window_s)
    if kept[0].micros < oldest:
        del kept[: bisect_left(kept, (oldest, 0), key=_place)]
    if len(kept) > KEPT:
        alike = [seen for seen in kept if seen.type == one.type]
        if len(alike) > KEPT:
            kept.remove(alike[0])


def matched(kept: Iterable[Kept]) -> list[Kept]:
    """Return what a pattern sees."""
    return [one for one in kept if one.marks is not None]


def _place(one: Kept) -> tuple[int, int]:
    return one.micros, one.seq


def weightiest(causes: Iterable[Kept], most: int = CAUSES) -> list[Kept]:
    """Return the causes that weigh most, the newest first among equals; each event once."""
    unique = {one.seq: one for one in causes}
    return sorted(unique.values(), key=lambda one: (-one.weight, -one.micros, -one.seq))[:most]
