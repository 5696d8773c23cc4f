"""What people say of evolutions: approved, rejected, taken back. Taking back is the saga's own undo."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from selo_dagster.errors import SeloError
from selo_dagster.people.devolution import take_back
from selo_dagster.people.evolution import settle_persona
from selo_dagster.people.evolution_tables import APPROVED, REJECTED, REVERSED, persona_evolutions
from selo_dagster.people.tables import persona_traits
from selo_dagster.sagas.check import definition_of
from selo_dagster.sagas.desk import Desk, require_reason
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.stale import mark_stale
from selo_dagster.sagas.states import FORWARD
from selo_dagster.sagas.tables import sagas

evolutions = persona_evolutions


def _evolution(connection: Connection, evolution_id: str) -> Any:
    row = connection.execute(select(evolutions).where(evolutions.c.id == evolution_id)).one_or_none()
    if row is None:
        raise SeloError(
            "unknown_evolution", f"there is no evolution {evolution_id[:80]!r}: see `selo persona evolutions`"
        )
    return row


def approve(connection: Connection, evolution_id: str, *, actor: str, because: str, now: datetime) -> str:
    """Say that an evolution is right; returns its state. Raises SeloError `unknown_evolution`, `wrong_use`."""
    require_reason(actor, because)
    row = _evolution(connection, evolution_id)
    _review(connection, evolution_id, APPROVED, actor, because, now)
    return str(row.state)


def revert(
    connection: Connection,
    registry: Registry,
    evolution_id: str,
    *,
    actor: str,
    because: str,
    now: datetime,
    reject: bool = False,
) -> str:
    """Take an evolution back; reject: and say that it was wrong. Returns the state of its undo.

    One of the saga's is undone whole, with its learnings, by the next run; one of the direct path at once.
    Raises SeloError `unknown_evolution`, `wrong_use`, and what the desk raises, such as `too_late`.
    """
    require_reason(actor, because)
    row = _evolution(connection, evolution_id)
    state = _take_back(connection, registry, row, actor, because, now)
    if reject:
        # Last: whoever undoes the saga holds its row before that of the evolution, too.
        _review(connection, evolution_id, REJECTED, actor, because, now)
    return state


def take_back_directly(connection: Connection, user_id: str, evolution_id: str, now: datetime) -> None:
    """Take back at once an evolution of the direct path, and mark what was made since; twice changes nothing."""
    if take_back(connection, user_id, evolution_id, now):
        mark_stale(connection, user_id, evolution_id, now)


def _take_back(connection: Connection, registry: Registry, row: Any, actor: str, because: str, now: datetime) -> str:
    if row.saga_id is None:
        take_back_directly(connection, row.user_id, row.id, now)
        return REVERSED
    if row.state == REVERSED and _goes_forward(connection, row.saga_id):
        # It was taken back, and its saga restarted: what that does now is another evolution.
        return REVERSED
    desk = Desk(connection, now, lambda name, version: definition_of(registry, name, version), actor, because)
    return desk.compensate(row.saga_id).state


def _goes_forward(connection: Connection, saga_id: str) -> bool:
    return connection.execute(select(sagas.c.direction).where(sagas.c.id == saga_id)).scalar() == FORWARD


def _review(connection: Connection, evolution_id: str, verdict: str, actor: str, because: str, now: datetime) -> None:
    connection.execute(
        update(evolutions)
        .where(evolutions.c.id == evolution_id)
        .values(review=verdict, reviewed_by=actor, because=because, reviewed_at=now)
    )


def lock(connection: Connection, user_id: str, trait: str, *, locked: bool) -> None:
    """Let nothing change a trait, or let it change again. Raises SeloError `unknown_trait`."""
    rows = settle_persona(connection, user_id)
    if trait not in rows:
        raise SeloError("unknown_trait", f"there is no trait {trait[:80]!r}: use one of {', '.join(sorted(rows))}")
    connection.execute(
        update(persona_traits)
        .where(persona_traits.c.user_id == user_id, persona_traits.c.name == trait)
        .values(locked=locked)
    )
