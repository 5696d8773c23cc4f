"""Asks for an erasure, or finds the one that is under way, or says that it was done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.people.erased import Erased, erased_person
from selo_dagster.people.footprint import Footprint
from selo_dagster.people.lookup import lookup
from selo_dagster.sagas.desk import Desk, Finding
from selo_dagster.sagas.erasure.ending import hand_over, require_free
from selo_dagster.sagas.erasure.forgetting import key_for
from selo_dagster.sagas.erasure.models import Erasure
from selo_dagster.sagas.start import random_id, start
from selo_dagster.sagas.states import COMPLETED, ENDED, NEEDS_A_PERSON
from selo_dagster.sagas.tables import sagas

TYPE: Final = "user_erasure"


@dataclass(frozen=True)
class Asked:
    """An erasure that is under way. user_id: as the person's writer gave it."""

    user_id: str
    saga_id: str


def ask(
    connection: Connection,
    who: str,
    *,
    definition: Finding,
    version: int,
    actor: str,
    now: datetime,
    new_id: Callable[[], str] = random_id,
) -> Asked | Erased:
    """Ask for the erasure of a person, named by id or by key, in the caller's transaction.

    The same person asks once: one that stands still goes on. Erased: it was done before, to its end. Raises SeloError
    `unknown_user`, `erasure_key`, and ObstacleError where something forbids it.
    """
    key = key_for(connection)
    desk = Desk(connection, now, definition, actor, "asked for again")
    person = lookup(connection, who)
    if person is None:
        erased = erased_person(connection, key, who)
        if erased is None:
            raise SeloError("unknown_user", f"there is no user {who[:80]!r}")
        state = connection.execute(select(sagas.c.state).where(sagas.c.id == erased.saga_id)).scalar()
        if state in {None, COMPLETED}:
            return erased
        if state in NEEDS_A_PERSON:
            desk.retry(erased.saga_id)
        return Asked(who, erased.saga_id)
    user_id = str(person.id)
    with connection.begin_nested() as tried:
        # The step does both for good; here they are tried, so that whoever asks hears in a sentence what is in the way.
        hand_over(connection, user_id)
        require_free(connection, Footprint.of(connection), user_id)
        tried.rollback()
    started = start(
        connection,
        definition(TYPE, version),
        user_id=user_id,
        key=key.digest(user_id),
        given=Erasure(key_id=key.id),
        now=now,
        new_id=new_id,
    )
    if started.existing and started.state in {*ENDED, *NEEDS_A_PERSON}:
        desk.retry(started.id)
    return Asked(user_id, started.id)
