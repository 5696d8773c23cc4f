"""Starting a saga: one row, in the caller's transaction; its business key is the de-duplication."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.documents import is_document
from selo_dagster.sagas.states import FORWARD, PENDING
from selo_dagster.sagas.tables import saga_definitions, sagas
from selo_dagster.sagas.traced import tell_asked
from selo_dagster.store.upsert import insert_missing

LONGEST_KEY = 200


def random_id() -> str:
    """Return a new id of a saga."""
    return uuid4().hex


@dataclass(frozen=True)
class Started:
    """A saga that was asked for. existing: it was there already, by its key."""

    id: str
    state: str
    existing: bool


def start(
    connection: Connection,
    saga: Saga,
    *,
    user_id: str,
    key: str,
    given: Mapping[str, Any] | BaseModel,
    now: datetime,
    new_id: Callable[[], str],
) -> Started:
    """Ask for a saga in the caller's transaction; the same type, person and key asks once.

    The person's row stays locked until the transaction ends: an erasure either finds the saga or is found here.
    given: of the saga's input model. Raises SeloError `bad_input`, `bad_key`, `unknown_user`, and `duplicate` where
    the saga says so.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise SeloError("bad_key", f"a saga's key is text of 1 to {LONGEST_KEY} printable characters")
    document = checked_input(saga, given).model_dump(mode="json")
    if not is_document(document):
        raise SeloError("bad_input", f"{saga.name} takes no NUL character, no lone surrogate and finite numbers only")
    locked = select(users.c.state).where(users.c.id == user_id).with_for_update(read=True)
    if connection.execute(locked).scalar() != ACTIVE:
        # What was asked for before the person was tombstoned is still there.
        there = _there(connection, saga, user_id, key)
        if there is None:
            raise SeloError("unknown_user", f"there is nobody {user_id[:80]!r}")
        return _existing(saga, there)
    remember_definition(connection, saga)
    saga_id = new_id()
    added = insert_missing(
        connection,
        sagas,
        [
            {
                "id": saga_id,
                "type": saga.name,
                "version": saga.version,
                "fingerprint": saga.fingerprint,
                "user_id": user_id,
                "key": key,
                "input": document,
                "state": PENDING,
                "direction": FORWARD,
                "created_at": now,
                "deadline_at": now + timedelta(seconds=saga.deadline_s),
            }
        ],
    )
    if added:
        tell_asked(connection, saga.name, saga_id, user_id, document)
        return Started(saga_id, PENDING, existing=False)
    return _existing(saga, _there(connection, saga, user_id, key))


def _there(connection: Connection, saga: Saga, user_id: str, key: str) -> Any:
    return connection.execute(
        select(sagas.c.id, sagas.c.state).where(
            sagas.c.type == saga.name, sagas.c.user_id == user_id, sagas.c.key == key
        )
    ).one_or_none()


def _existing(saga: Saga, there: Any) -> Started:
    if saga.duplicates == "reject":
        raise SeloError("duplicate", f"{saga.name} with this key is there already: {there.id}, {there.state}")
    return Started(there.id, there.state, existing=True)


def checked_input(saga: Saga, given: Mapping[str, Any] | BaseModel) -> BaseModel:
    """Return an input as the saga declares it. Raises SeloError `bad_input`, which names fields and no values."""
    document = given.model_dump(mode="json") if isinstance(given, BaseModel) else dict(given)
    try:
        return saga.input.model_validate(document)
    except ValidationError as refused:
        faults = refused.errors(include_url=False, include_input=False, include_context=False)
        where = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'input'}: {one['type']}" for one in faults[:5]
        )
        raise SeloError("bad_input", f"{saga.name} does not take this input: {where}") from None


def remember_definition(connection: Connection, saga: Saga) -> None:
    """Keep a definition beside what uses it. Raises SeloError `changed_definition` for another under its version."""
    there = _remembered(connection, saga)
    if there is None:
        row = {
            "type": saga.name,
            "version": saga.version,
            "fingerprint": saga.fingerprint,
            "document": saga.document,
        }
        if insert_missing(connection, saga_definitions, [row]):
            return
        # Somebody else was quicker: what counts is what they kept.
        there = _remembered(connection, saga)
    if there != saga.fingerprint:
        raise SeloError(
            "changed_definition",
            f"the saga {saga.name!r} was changed under version {saga.version}, which is in use: "
            "give the changed one a new version and keep the old one beside it",
        )


def _remembered(connection: Connection, saga: Saga) -> str | None:
    return connection.execute(
        select(saga_definitions.c.fingerprint).where(
            saga_definitions.c.type == saga.name, saga_definitions.c.version == saga.version
        )
    ).scalar()
