"""Takes many evolutions back at once: chosen by person, time, model and wording; a dry run only counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.people.evolution_tables import APPLIED, persona_evolutions
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.review import revert
from selo_dagster.sagas.states import ENDED
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store

evolutions = persona_evolutions
AT_ONCE: Final = 200
"""Evolutions in one transaction."""


@dataclass(frozen=True)
class Wish:
    """Which evolutions. since: included; until: not; None: no bound, any model, any wording."""

    since: datetime | None
    until: datetime | None
    model: str | None
    prompt_version: str | None
    dry_run: bool
    because: str
    now: datetime


@dataclass
class Undone:
    """What was found of one person. turned: taken back, or on its way; refused: too old, or with no way back."""

    matching: int = 0
    turned: int = 0
    refused: int = 0


def undo_evolutions(
    store: Store, registry: Registry, keys: Sequence[str], wish: Wish, *, actor: str
) -> dict[str, Undone]:
    """Take back what matches of these partitions, the newest first; returns what was found by partition key.

    Raises SeloError `wrong_use` for a time that ends before it begins.
    """
    if wish.since is not None and wish.until is not None and wish.until <= wish.since:
        raise SeloError("wrong_use", "until is not after since: nothing could match")
    found = {key: Undone() for key in keys}
    with store.read() as connection:
        rows = _matching(connection, keys, wish)
    for row in rows:
        found[row.key].matching += 1
    if wish.dry_run:
        return found
    for start in range(0, len(rows), AT_ONCE):
        with store.write() as connection:
            for row in rows[start : start + AT_ONCE]:
                _turn(connection, registry, row, wish, actor, found[row.key])
    return found


def _turn(connection: Connection, registry: Registry, row: Any, wish: Wish, actor: str, found: Undone) -> None:
    try:
        revert(connection, registry, row.id, actor=actor, because=wish.because, now=wish.now)
    except SeloError:
        found.refused += 1
    else:
        found.turned += 1


def _matching(connection: Connection, keys: Sequence[str], wish: Wish) -> list[Any]:
    chosen = [evolutions.c.state == APPLIED]
    if wish.since is not None:
        chosen.append(evolutions.c.created_at >= wish.since)
    if wish.until is not None:
        chosen.append(evolutions.c.created_at < wish.until)
    if wish.model is not None:
        chosen.append(evolutions.c.model == wish.model)
    if wish.prompt_version is not None:
        chosen.append(evolutions.c.prompt_version == wish.prompt_version)
    rows: list[Any] = []
    for part in chunked(sorted(keys)):
        rows += connection.execute(
            select(evolutions.c.id, users.c.key)
            .join(users, users.c.id == evolutions.c.user_id)
            .outerjoin(sagas, sagas.c.id == evolutions.c.saga_id)
            # One that is on its way back already matches no more.
            .where(users.c.key.in_(part), (sagas.c.id.is_(None)) | (sagas.c.state.in_(ENDED)), *chosen)
            .order_by(evolutions.c.created_at.desc(), evolutions.c.id)
        ).all()
    return rows
