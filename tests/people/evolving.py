"""Evolving a persona as the direct path does, and looking at what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from selo_dagster.people.devolution import take_back
from selo_dagster.people.evolution import Applied, Record, Wish, evolve, record
from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions
from selo_dagster.people.persona import INITIAL_TRAITS
from selo_dagster.people.tables import persona_traits
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW

INITIAL = {one.name: one.value for one in INITIAL_TRAITS}


def evolved(
    store: Store,
    evolution_id: str,
    *wishes: tuple[str, float] | tuple[str, float, str],
    user: str = "ana",
    now: datetime = NOW,
) -> list[Applied]:
    """Evolve and record in one transaction; returns what each wish came to."""
    with store.write() as connection:
        applied = evolve(connection, user, evolution_id, [Wish(one[0], one[1], "".join(one[2:])) for one in wishes])
        given = Record(evolution_id, user, f"reflection:{evolution_id}", ["memory:m1"], 0.8, "fake", "v1", applied, now)
        record(connection, given)
    return applied


def taken_back(store: Store, evolution_id: str, *, user: str = "ana", now: datetime = NOW) -> bool:
    """Take an evolution back; returns whether it stood."""
    with store.write() as connection:
        return take_back(connection, user, evolution_id, now)


def values(store: Store, user: str = "ana") -> dict[str, float]:
    """Return a person's stored traits."""
    with store.read() as connection:
        rows = connection.execute(select(persona_traits).where(persona_traits.c.user_id == user))
        return {row.name: row.value for row in rows}


def trait(store: Store, name: str, user: str = "ana") -> Any:
    """Return one trait's row."""
    with store.read() as connection:
        return connection.execute(
            select(persona_traits).where(persona_traits.c.user_id == user, persona_traits.c.name == name)
        ).one()


def set_trait(store: Store, name: str, user: str = "ana", **changes: Any) -> None:
    """Change a stored trait past every rule, as another program would."""
    with store.write() as connection:
        changed = connection.execute(
            update(persona_traits)
            .where(persona_traits.c.user_id == user, persona_traits.c.name == name)
            .values(**changes)
        )
        assert changed.rowcount == 1


def add_traits(store: Store, *rows: dict[str, Any], user: str = "ana") -> None:
    """Add traits past every rule."""
    with store.write() as connection:
        connection.execute(insert(persona_traits), [{"user_id": user, **row} for row in rows])


def evolution(store: Store, evolution_id: str) -> Any:
    """Return an evolution's row."""
    with store.read() as connection:
        return connection.execute(select(persona_evolutions).where(persona_evolutions.c.id == evolution_id)).one()


def changes_of(store: Store, evolution_id: str) -> list[Any]:
    """Return what is remembered of an evolution's changes."""
    with store.read() as connection:
        return list(
            connection.execute(
                select(persona_changes)
                .where(persona_changes.c.evolution_id == evolution_id)
                .order_by(persona_changes.c.trait)
            )
        )
