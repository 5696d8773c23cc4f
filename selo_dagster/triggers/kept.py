"""What a rule remembers of one person: events inside its windows, and causes that wait for a cooldown to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from selo_dagster.clock import parse_instant
from selo_dagster.store.types import instant_text
from selo_dagster.triggers.happening import Happening

KEPT: Final = 200
"""Events that one rule remembers of one person at most: the newest."""

CAUSES: Final = 20
"""Causes that one request names at most: the weightiest. More are only counted."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One remembered event. at: UTC; weight: 0-1; marks: what a pattern compares, such as
    fingerprints of fields or the steps that it can be."""

    seq: int
    at: datetime
    type: str
    origin: str
    ref: str
    weight: float
    marks: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, one: Happening, marks: dict[str, str] | None = None) -> Kept:
        """Return what is remembered of an event."""
        return cls(one.seq, one.at, one.type, one.origin, one.ref, one.weight, marks or {})

    def as_json(self) -> list[Any]:
        """Return its form in the database."""
        return [self.seq, instant_text(self.at), self.type, self.origin, self.ref, self.weight, self.marks]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> Kept:
        """Read its form in the database."""
        seq, at, kind, origin, ref, weight, marks = row
        return cls(int(seq), parse_instant(at), kind, origin, ref, float(weight), dict(marks))


def within(kept: Sequence[Kept], window_s: float) -> list[Kept]:
    """Return what a window may still need, oldest first.

    Two windows back from the newest, since events may come in another order than they happened; at most KEPT.
    """
    ordered = sorted(kept, key=lambda one: (one.at, one.seq))
    if not ordered:
        return []
    oldest = ordered[-1].at - timedelta(seconds=2 * window_s)
    return [one for one in ordered if one.at >= oldest][-KEPT:]


def weightiest(causes: Iterable[Kept], most: int = CAUSES) -> list[Kept]:
    """Return the causes that weigh most, the newest first among equals; each event once."""
    unique = {one.seq: one for one in causes}
    return sorted(unique.values(), key=lambda one: (-one.weight, -one.at.timestamp(), -one.seq))[:most]
