"""Deletes what a tombstoned person has, a bounded part in each transaction, so that nobody waits for long."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, select, text

from selo_dagster.people.footprint import Footprint, Spared
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.sagas.erasure.ending import hand_over, require_free
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now

OWN_SAGA: Final[Spared] = {"sagas": "id <> :spared"}
"""The erasure itself goes on to its end, with its steps."""

DRAIN_S: Final = 10.0
"""How long is waited for transactions that began before the person was tombstoned. One that lasts longer may write a
last row, which `forget` deletes, or fail for naming somebody who is gone."""

MOST_ROUNDS: Final = 100_000
"""Nobody has so much: something puts back what is deleted."""

_POLL_S: Final = 0.05


def drain(
    store: Store,
    limit_s: float = DRAIN_S,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until every transaction has ended that is open now; returns whether they have, within `limit_s`.

    What reads who is there, and writes for them later in the same transaction, does not know of the tombstone.
    On SQLite nobody else writes in the meantime.
    """
    if store.dialect != "postgresql":
        return True
    with store.read() as connection:
        now = connection.execute(select(database_now())).scalar_one()
    older = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND xact_start < :now"
    )
    ends = monotonic() + limit_s
    while True:
        with store.read() as connection:
            if not connection.execute(older, {"now": now}).scalar_one():
                return True
        if monotonic() >= ends:
            return False
        sleep(_POLL_S)


class RowsLeftError(Exception):
    """Rows of the person come faster than they are deleted."""


def remove(store: Store, user_id: str, saga_id: str) -> dict[str, int]:
    """Delete everything about a tombstoned person but the row in `users`; returns how many rows, by table.

    Somebody who is not tombstoned (any more) keeps everything. Raises ObstacleError, RowsLeftError.
    """
    with store.read() as connection:
        footprint = Footprint.of(connection, OWN_SAGA)

    def some() -> Mapping[str, int]:
        with store.write() as connection:
            return _remove_some(connection, footprint, user_id, saga_id)

    return until_none_is_left(some)


def until_none_is_left(remove_some: Callable[[], Mapping[str, int]]) -> dict[str, int]:
    """Call what deletes some rows until it finds none; returns how many, by table. Raises RowsLeftError."""
    gone: Counter[str] = Counter()
    for _ in range(MOST_ROUNDS):
        part = remove_some()
        if not part:
            return dict(gone)
        gone.update(part)
    raise RowsLeftError


def _remove_some(connection: Connection, footprint: Footprint, user_id: str, saga_id: str) -> Mapping[str, int]:
    if not is_tombstoned(connection, user_id):
        return {}
    hand_over(connection, user_id)
    require_free(connection, footprint, user_id)
    return footprint.delete(connection, user_id, spared=saga_id)


def is_tombstoned(connection: Connection, user_id: str) -> bool:
    """Tell whether a person is there and tombstoned; the row stays locked, so that nobody comes in under this id."""
    state = connection.execute(
        select(users.c.state).where(users.c.id == user_id).with_for_update(key_share=True)
    ).scalar()
    return state == TOMBSTONED


def rows_left(connection: Connection, user_id: str, saga_id: str) -> bool:
    """Tell whether a tombstoned person has any row but the one in `users`."""
    there = Footprint.of(connection, OWN_SAGA).count(connection, user_id, spared=saga_id)
    return bool(there.keys() - {"users"})
