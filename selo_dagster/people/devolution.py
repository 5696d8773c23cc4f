"""Takes back what evolutions applied to a persona: exactly that, in whatever order they are taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from selo_dagster.people.evolution import move, settle_persona
from selo_dagster.people.evolution_tables import APPLIED, REVERSED, persona_changes, persona_evolutions
from selo_dagster.people.tables import persona_traits
from selo_dagster.people.trait_rules import MADE_AT, without

traits, evolutions, changes = persona_traits, persona_evolutions, persona_changes


@dataclass(frozen=True)
class _Change:
    """A change of one trait as it is remembered, the oldest first."""

    evolution_id: str
    before: float | None
    applied: float
    made: bool
    stands: bool


def devolve(
    connection: Connection, user_id: str, evolution_id: str, applied: Sequence[tuple[str, float, bool]]
) -> None:
    """Take back what an evolution applied: (trait, applied, made), and nothing of what others did since.

    A trait goes to where the shares of the evolutions that stand would have brought it without this one, each held
    within its range: so the order in which several are taken back makes no difference, also where a value stood at an
    end of its range. A change by somebody else than an evolution is kept beside. A trait that an evolution made goes
    with the last one that stands of those that made or moved it. A lock stops evolutions, not this: an undo that left
    its share would not be one.
    """
    rows = settle_persona(connection, user_id)
    shares = {name: (delta, made) for name, delta, made in applied if name in rows and (delta or made)}
    known = _changes(connection, user_id, shares)
    for name, (delta, made) in sorted(shares.items()):
        row, history = rows[name], _with(known[name], evolution_id, delta, made)
        others = [one for one in history if one.evolution_id != evolution_id]
        if row.made_by is not None and not any(one.stands and (one.made or one.applied) for one in others):
            connection.execute(delete(traits).where(traits.c.user_id == user_id, traits.c.name == name))
        elif delta:
            move(connection, user_id, name, _without(row, history, others))


def _without(row: Any, history: Sequence[_Change], others: Sequence[_Change]) -> float:
    value = float(row.value)
    first = next((one.before for one in history if one.before is not None), None)
    if row.made_by is not None:
        base = MADE_AT
    elif first is not None:
        base = first
    else:
        # Not recorded yet, nor is anything else: nobody has come between.
        base = value - sum(one.applied for one in history)
    return without(value, base, _standing(history), _standing(others), row.category)


def _standing(history: Iterable[_Change]) -> list[float]:
    return [one.applied for one in history if one.stands]


def _with(history: Sequence[_Change], evolution_id: str, delta: float, made: bool) -> list[_Change]:
    """Return a history in which this evolution stands: it may be marked as reversed already, or not recorded yet."""
    found = [replace(one, stands=True) if one.evolution_id == evolution_id else one for one in history]
    if not any(one.evolution_id == evolution_id for one in found):
        found.append(_Change(evolution_id, None, delta, made, stands=True))
    return found


def _changes(connection: Connection, user_id: str, names: Iterable[str]) -> Mapping[str, list[_Change]]:
    found: dict[str, list[_Change]] = defaultdict(list)
    rows = connection.execute(
        select(
            changes.c.trait,
            changes.c.evolution_id,
            changes.c.before,
            changes.c.applied,
            changes.c.made,
            evolutions.c.state,
        )
        .join(evolutions, evolutions.c.id == changes.c.evolution_id)
        .where(evolutions.c.user_id == user_id, changes.c.trait.in_(list(names)))
        .order_by(evolutions.c.place, evolutions.c.id)
    )
    for row in rows:
        before = None if row.before is None else float(row.before)
        found[row.trait].append(
            _Change(row.evolution_id, before, float(row.applied), bool(row.made), stands=row.state == APPLIED)
        )
    return found


def mark_reversed(connection: Connection, evolution_id: str, now: datetime) -> bool:
    """Say of an evolution that it was taken back; the record stays. False: it was before, or there is none."""
    return bool(
        connection.execute(
            update(evolutions)
            .where(evolutions.c.id == evolution_id, evolutions.c.state == APPLIED)
            .values(state=REVERSED, reversed_at=now)
        ).rowcount
    )


def take_back(connection: Connection, user_id: str, evolution_id: str, now: datetime) -> bool:
    """Take back an evolution of the direct path by its record. False: it was taken back before, or there is none."""
    if not mark_reversed(connection, evolution_id, now):
        return False
    rows = connection.execute(
        select(changes.c.trait, changes.c.applied, changes.c.made).where(changes.c.evolution_id == evolution_id)
    ).all()
    devolve(connection, user_id, evolution_id, [(row.trait, float(row.applied), bool(row.made)) for row in rows])
    return True
