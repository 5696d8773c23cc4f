"""Changes a persona by wished deltas, and remembers what was really applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions
from selo_dagster.people.persona import INITIAL_TRAITS
from selo_dagster.people.tables import persona_traits
from selo_dagster.people.trait_rules import (
    LARGEST_DELTA,
    LOCKED_FROM_THE_BEGINNING,
    MADE_AT,
    MOST_TRAITS,
    STEPS,
    category_of,
    clamped,
    trait_name,
)
from selo_dagster.store.upsert import insert_missing

traits, evolutions, changes = persona_traits, persona_evolutions, persona_changes


@dataclass(frozen=True)
class Wish:
    """A wished change of one trait. delta: signed, on the 0-1 scale; reason: private."""

    name: str
    delta: float
    reason: str


@dataclass(frozen=True)
class Applied:
    """What a wish came to, by the columns of `persona_changes`.

    before: None where the trait was made; applied: after limits, range and locks.
    """

    trait: str
    category: str
    before: float | None
    requested: float
    applied: float
    after: float
    made: bool
    locked: bool
    reason: str


def settle_persona(connection: Connection, user_id: str) -> dict[str, Any]:
    """Return a person's traits by name, locked until the transaction ends; the initial ones are stored if none is."""
    wanted = select(traits).where(traits.c.user_id == user_id).order_by(traits.c.name).with_for_update()
    if not connection.execute(wanted).all():
        insert_missing(
            connection,
            traits,
            [
                {"user_id": user_id, "name": one.name, "category": one.category, "value": one.value}
                for one in INITIAL_TRAITS
            ],
        )
        connection.execute(wanted)
    # Read once they are locked: whoever held them until now may have made another.
    return {row.name: row for row in connection.execute(wanted)}


def evolve(connection: Connection, user_id: str, evolution_id: str, wishes: Iterable[Wish]) -> list[Applied]:
    """Apply wishes to a person's traits; wishes for one trait are one. Returns what each came to.

    What is locked, and a new trait beyond the most that a persona holds, stays as it is, and is said so.
    """
    rows = settle_persona(connection, user_id)
    found: list[Applied] = []
    for name, (delta, reason) in _together(wishes).items():
        row = rows.get(name)
        if row is None:
            found.append(_make(connection, user_id, evolution_id, name, delta, reason, room=len(rows) < MOST_TRAITS))
            if found[-1].made:
                rows[name] = None
            continue
        locked = bool(row.locked) or name in LOCKED_FROM_THE_BEGINNING
        value = float(row.value)
        after = value if locked else clamped(value + _limited(delta), row.category)
        applied = round(after - value, STEPS)
        if applied:
            move(connection, user_id, name, after)
        found.append(
            Applied(name, row.category, value, delta, applied, after, made=False, locked=locked, reason=reason)
        )
    return found


def _together(wishes: Iterable[Wish]) -> dict[str, tuple[float, str]]:
    found: dict[str, tuple[float, str]] = {}
    for wish in wishes:
        name = trait_name(wish.name)
        if name is None:
            continue
        delta, reason = found.get(name, (0.0, ""))
        said = "; ".join(part for part in (reason, wish.reason) if part)
        found[name] = (round(delta + wish.delta, STEPS), said)
    return dict(sorted(found.items()))


def _limited(delta: float) -> float:
    return max(-LARGEST_DELTA, min(LARGEST_DELTA, delta))


def _make(
    connection: Connection, user_id: str, evolution_id: str, name: str, delta: float, reason: str, *, room: bool
) -> Applied:
    category = category_of(name)
    locked = name in LOCKED_FROM_THE_BEGINNING or not room
    after = clamped(MADE_AT + _limited(delta), category)
    if not locked:
        connection.execute(
            insert(traits).values(user_id=user_id, name=name, category=category, value=after, made_by=evolution_id)
        )
    applied = 0.0 if locked else round(after - MADE_AT, STEPS)
    return Applied(
        name,
        category,
        None,
        delta,
        applied,
        MADE_AT if locked else after,
        made=not locked,
        locked=locked,
        reason=reason,
    )


def move(connection: Connection, user_id: str, name: str, value: float) -> None:
    """Give a stored trait another value."""
    connection.execute(
        update(traits)
        .where(traits.c.user_id == user_id, traits.c.name == name)
        .values(value=value, version=traits.c.version + 1)
    )


@dataclass(frozen=True)
class Record:
    """An evolution as it is remembered. evidence: ["memory:ID", …]; confidence: 0-1; saga_id: None: direct path."""

    id: str
    user_id: str
    source: str
    evidence: Sequence[str]
    confidence: float
    model: str
    prompt_version: str
    applied: Sequence[Applied]
    now: datetime
    saga_id: str | None = None
    tainted: bool = False


def record(connection: Connection, one: Record) -> None:
    """Remember an evolution with before, requested, applied and reasons."""
    latest = select(func.coalesce(func.max(evolutions.c.place), 0)).where(evolutions.c.user_id == one.user_id)
    connection.execute(
        insert(evolutions).values(
            id=one.id,
            user_id=one.user_id,
            saga_id=one.saga_id,
            source=one.source,
            evidence=list(one.evidence),
            confidence=one.confidence,
            impact=min(1.0, round(sum(abs(change.applied) for change in one.applied), STEPS)),
            model=one.model,
            prompt_version=one.prompt_version,
            place=latest.scalar_subquery() + 1,
            tainted=one.tainted,
            created_at=one.now,
        )
    )
    rows = [{"evolution_id": one.id, **vars(change)} for change in one.applied]
    if rows:
        connection.execute(insert(changes), rows)
