"""Deletes what a tombstoned person has, a bounded part in each transaction, so that nobody waits for long."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
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
        work = _Removal(Footprint.of(connection, OWN_SAGA), user_id, saga_id)
    for _ in range(MOST_ROUNDS):
        with store.write() as connection:
            if not is_tombstoned(connection, user_id) or work.finds_nothing(connection):
                return dict(work.gone)
    raise RowsLeftError


@dataclass
class _Removal:
    """Goes over all parts until it finds nothing in any. checked: the part for which others' rows were looked at."""

    footprint: Footprint
    user_id: str
    saga_id: str
    gone: Counter[str] = field(default_factory=Counter)
    place: int = 0
    checked: int | None = None
    found: bool = False

    def finds_nothing(self, connection: Connection) -> bool:
        """Delete some rows; returns whether one whole round has found none."""
        if self.checked != self.place:
            # Once for each part, not for each of its thousands of rows: it reads them all.
            hand_over(connection, self.user_id)
            require_free(connection, self.footprint, self.user_id)
            self.checked = self.place
        deleted = self.footprint.delete(connection, self.user_id, spared=self.saga_id, begin=self.place)
        self.gone.update(deleted.rows)
        self.found = self.found or bool(deleted.rows)
        if not deleted.whole:
            self.place = deleted.place
            return False
        found, self.found = self.found, False
        self.place, self.checked = 0, None
        return not found


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
