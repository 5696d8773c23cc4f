"""A persona as people and programs see it: traits with their homes, evolutions, and how each trait came along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from selo_dagster.people.evolution_tables import APPLIED, UNREVIEWED, persona_changes, persona_evolutions
from selo_dagster.people.persona import INITIAL_TRAITS, Trait
from selo_dagster.people.tables import persona_traits
from selo_dagster.people.trait_rules import (
    EXTREME,
    MADE_AT,
    MOST_EXTREMES,
    STEPS,
    baseline_of,
    health_of,
    is_extreme,
    without,
)

evolutions, changes = persona_evolutions, persona_changes


def persona_shown(connection: Connection, user_id: str) -> dict[str, Any]:
    """Return a person's persona: traits with value, home and lock, its health, and what has come to an end."""
    rows = connection.execute(
        select(persona_traits).where(persona_traits.c.user_id == user_id).order_by(persona_traits.c.name)
    ).all()
    traits = [
        {
            "name": row.name,
            "category": row.category,
            "value": float(row.value),
            "home": baseline_of(row.name),
            "locked": bool(row.locked),
            "version": row.version,
        }
        for row in rows
    ] or [_initial(one) for one in INITIAL_TRAITS]
    values = [(str(one["name"]), float(str(one["value"]))) for one in traits]
    return {
        "traits": traits,
        "health": health_of(values),
        "saturated": [name for name, value in values if is_extreme(value)],
    }


def _initial(one: Trait) -> dict[str, Any]:
    return {
        "name": one.name,
        "category": one.category,
        "value": one.value,
        "home": baseline_of(one.name),
        "locked": False,
        "version": 1,
    }


def evolutions_shown(
    connection: Connection, *, user_id: str | None = None, unreviewed: bool = False, limit: int = 50
) -> list[dict[str, Any]]:
    """Return evolutions with what they changed, newest first; unreviewed: only those that nobody has judged."""
    chosen = [] if user_id is None else [evolutions.c.user_id == user_id]
    if unreviewed:
        chosen += [evolutions.c.review == UNREVIEWED, evolutions.c.state == APPLIED]
    rows = connection.execute(
        select(evolutions)
        .where(*chosen)
        .order_by(evolutions.c.created_at.desc(), evolutions.c.place.desc(), evolutions.c.id)
        .limit(limit)
    ).all()
    changed = _changes_of(connection, [row.id for row in rows])
    return [
        {
            "id": row.id,
            "user": row.user_id,
            "saga": row.saga_id,
            "source": row.source,
            "evidence": row.evidence,
            "state": row.state,
            "confidence": float(row.confidence),
            "impact": float(row.impact),
            "model": row.model,
            "prompt_version": row.prompt_version,
            "review": row.review,
            "reviewed_by": row.reviewed_by,
            "tainted": row.tainted,
            "created_at": row.created_at,
            "reversed_at": row.reversed_at,
            "changes": changed.get(row.id, []),
        }
        for row in rows
    ]


def _changes_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    rows = connection.execute(
        select(changes).where(changes.c.evolution_id.in_(ids)).order_by(changes.c.evolution_id, changes.c.trait)
    )
    for row in rows:
        found.setdefault(row.evolution_id, []).append(
            {
                "trait": row.trait,
                "category": row.category,
                "before": row.before,
                "requested": row.requested,
                "applied": row.applied,
                "after": row.after,
                "made": bool(row.made),
                "locked": bool(row.locked),
                "reason": row.reason,
            }
        )
    return found


@dataclass(frozen=True)
class Point:
    """A trait's value from an instant on. because: the evolution that moved it, or was taken back then."""

    trait: str
    at: datetime
    value: float
    because: str


@dataclass(frozen=True)
class _Step:
    """One evolution of one trait, or its undo (back)."""

    at: datetime
    evolution_id: str
    change: Any
    back: bool

    @property
    def began(self) -> float:
        """The value that an evolution found."""
        return MADE_AT if self.change.before is None else float(self.change.before)


def history_of(connection: Connection, user_id: str, trait: str | None = None) -> list[Point]:
    """Return how a person's traits came along, in order of time: each evolution and each undo is a point.

    What came to nothing is none.
    """
    chosen = [] if trait is None else [changes.c.trait == trait]
    rows = connection.execute(
        select(changes, evolutions.c.created_at, evolutions.c.reversed_at)
        .join(evolutions, evolutions.c.id == changes.c.evolution_id)
        .where(evolutions.c.user_id == user_id, or_(changes.c.made, changes.c.applied != 0), *chosen)
        .order_by(changes.c.trait, evolutions.c.place, evolutions.c.id)
    ).all()
    steps: dict[str, list[_Step]] = {}
    for row in rows:
        steps.setdefault(row.trait, []).append(_Step(row.created_at, row.evolution_id, row, back=False))
        if row.reversed_at is not None:
            steps[row.trait].append(_Step(row.reversed_at, row.evolution_id, row, back=True))
    points = [point for name, taken in steps.items() for point in _points(name, taken)]
    return sorted(points, key=lambda one: one.at)


def _points(trait: str, steps: list[_Step]) -> Iterator[Point]:
    left = sorted(steps, key=lambda one: one.at)
    base = value = next((one.value for one in INITIAL_TRAITS if one.name == trait), MADE_AT)
    standing: dict[str, float] = {}
    while left:
        together = [one for one in left if one.at == left[0].at]
        step = min(together, key=lambda one: _order(one, value, together))
        left.remove(step)
        if step.back:
            shares = list(standing.values())
            standing.pop(step.evolution_id)
            value = without(value, base, shares, list(standing.values()), step.change.category)
        else:
            if not standing:
                base = step.began
            standing[step.evolution_id] = float(step.change.applied)
            value = round(float(step.change.after), STEPS)
        yield Point(trait, step.at, value, step.evolution_id)


def _order(step: _Step, value: float, together: Sequence[_Step]) -> int:
    """Rank steps of one instant, such as a night's that was given one: each begins where the one before it ended."""
    others = [one for one in together if one is not step]
    both = any(one.evolution_id == step.evolution_id for one in others)
    if step.back:
        return 5 if both else 2
    if round(step.began - value, STEPS) == 0:
        return 0 if both else 1
    follows = any(not one.back and round(step.began - float(one.change.after), STEPS) == 0 for one in others)
    return 4 if follows else 3


def saturated_people(connection: Connection) -> int:
    """Return how many people's personas have more traits at an end of the scale than a healthy one."""
    low, high = EXTREME
    saturated = (
        select(persona_traits.c.user_id)
        .where(or_(persona_traits.c.value < low, persona_traits.c.value > high))
        .group_by(persona_traits.c.user_id)
        .having(func.count() > MOST_EXTREMES)
        .subquery()
    )
    return int(connection.execute(select(func.count()).select_from(saturated)).scalar_one())
