"""Evolutions of many people, by the saga or by the direct path, without a model."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from selo_dagster.clock import FixedClock
from selo_dagster.people.evolution_tables import persona_evolutions
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.start import start
from selo_dagster.sagas.states import COMPENSATE
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store
from tests.sagas.builders import Room
from tests.support.fakes import NOW


class RoomOfOthers(Room):
    """A room whose people are there already."""

    def __post_init__(self) -> None:
        """Add nobody."""


def room_at(store: Store, now: datetime = NOW) -> Room:
    """Return a room whose people are there already, at an instant."""
    return RoomOfOthers(store, FixedClock(now))


def asked(store: Store, user: str, now: datetime = NOW, *, key: str | None = None, **given: Any) -> str:
    """Ask for an evolution by the saga; returns the saga's id. deltas: wished changes by trait."""
    deltas = given.pop("deltas", {"empathy": 0.1})
    wishes = [{"name": name, "delta": delta, "reason": "r"} for name, delta in deltas.items()]
    wanted = {"source": "a test", "trait_changes": wishes, "model": "fake", "prompt_version": "v1"} | given
    with store.write() as connection:
        return start(
            connection,
            PERSONA_EVOLUTION,
            user_id=user,
            key=key or uuid4().hex,
            given=wanted,
            now=now,
            new_id=lambda: uuid4().hex,
        ).id


def by_saga(store: Store, user: str, now: datetime = NOW, **given: Any) -> str:
    """Let a persona evolve by the saga; returns the evolution's id."""
    saga_id = asked(store, user, now, **given)
    room_at(store, now).forward(PERSONA_EVOLUTION, uuid4().hex)
    with store.read() as connection:
        return str(
            connection.execute(
                select(persona_evolutions.c.id)
                .join(sagas, sagas.c.id == persona_evolutions.c.saga_id)
                .where(sagas.c.id == saga_id, sagas.c.state == "completed")
            ).scalar_one()
        )


def undo_all(store: Store, now: datetime = NOW) -> dict[str, int]:
    """Carry back whatever was turned round, one run after the other; returns what came of it."""
    room = room_at(store, now)
    found: dict[str, int] = {}
    while room.claimable(PERSONA_EVOLUTION, COMPENSATE):
        for state, number in room.back(PERSONA_EVOLUTION, uuid4().hex).items():
            found[state] = found.get(state, 0) + number
    return found


def states(store: Store) -> dict[str, str]:
    """Return the state of each evolution."""
    with store.read() as connection:
        rows = connection.execute(select(persona_evolutions.c.id, persona_evolutions.c.state))
        return {row.id: row.state for row in rows}
