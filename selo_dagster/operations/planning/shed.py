"""What would give way: the fewest obligations to put off so that the rest is on time, and the slots that spare it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from selo_dagster.operations.planning.work import Batch

GIVES_WAY: Final = (
    "weekly",
    "relationship_questions",
    "adaptive",
    "mantra",
    "relationship_answer_audit",
    "persona_reassessment",
    "daily",
    "one_off",
    "triggered",
)
"""The policy, first to give way first: the weekly before any daily is late; what answers a moment last of all.

A kind that is not named here gives way first.
"""

MOST_SLOTS: Final = 512
"""As many as a setting may name."""


def would_shed(batches: Sequence[Batch], fits: Callable[[Sequence[Batch]], bool]) -> dict[str, int]:
    """Return by kind how many would have to be put off so that nothing else is late; {} where all fits.

    Within a kind the last to be claimed give way: the oldest dates. fits: tells whether batches would be on time.
    """
    kinds = {one.kind for one in batches}
    order = [*sorted(kinds.difference(GIVES_WAY)), *(name for name in GIVES_WAY if name in kinds)]
    left = list(batches)
    found: dict[str, int] = {}

    for name in order:
        if fits(left):
            break
        whole = sum(one.number for one in left if one.kind == name)
        number = _least(lambda away, kind=name, some=tuple(left): fits(without(some, kind, away)), whole)  # type: ignore[misc]
        left = without(left, name, number)
        found[name] = number
    return {name: number for name, number in found.items() if number}


def without(batches: Sequence[Batch], kind: str, number: int) -> list[Batch]:
    """Return batches less `number` of a kind, taken from the last to be claimed."""
    found = []
    for one in sorted(batches, key=lambda one: (one.on, one.at)):
        away = min(number, one.number) if one.kind == kind else 0
        number -= away
        if one.number > away:
            found.append(replace(one, number=one.number - away, likely=min(one.likely, one.number - away)))
    return sorted(found, key=lambda one: (one.at, one.kind, one.on, one.since, one.zone or "", one.behind))


def slots_that_do(slots: int, fits: Callable[[int], bool]) -> int | None:
    """Return the fewest slots of a run beyond `slots` with which all would fit; None: no setting would do.

    fits: tells whether all would be on time with so many.
    """
    more = _least(lambda plus: fits(slots + plus), max(MOST_SLOTS - slots, 0))
    return slots + more if more and fits(slots + more) else None


def _least(enough: Callable[[int], bool], most: int) -> int:
    """Return the least number up to `most` that is enough, to a half percent of it; `most` where none is."""
    low, high, grain = 0, most, max(1, most // 200)
    while high - low >= grain:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
