"""Deleting old rows: chosen in a read that nobody waits for, deleted in short transactions that look again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select, tuple_, update

from selo_dagster.store.engine import Store

AT_ONCE: Final = 1_000
"""Rows of one transaction: how long SQLite's one writer is kept, and what a kill loses."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class OldRows:
    """Rows of one table that may go.

    where: which; it is asked again in the transaction that deletes, under a lock on the rows. emptied: columns that
    are set instead, of rows that stay. told: columns of each row that `before` is given, in that transaction.
    """

    table: Table
    where: Sequence[ColumnElement[bool]]
    emptied: Mapping[str, Any] | None = None
    told: Sequence[str] = ()
    before: Callable[[Connection, Sequence[Row[Any]]], None] | None = field(default=None)

    @property
    def _key(self) -> list[Any]:
        return list(self.table.primary_key)

    def number(self, connection: Connection) -> int:
        """Return how many rows would go."""
        return int(connection.execute(select(func.count()).select_from(self.table).where(*self.where)).scalar_one())

    def batches(self, store: Store, limit: int = AT_ONCE) -> Generator[int, None, None]:
        """Delete them, in the order of their key; yields after each transaction how many rows it took.

        Whoever stops between two batches leaves a state that the next round goes on from. Several at once share the
        work: a row that somebody else has locked is left to them.
        """
        after: Key | None = None
        while True:
            with store.read() as connection:
                chosen = self._chosen(connection, after, limit)
            if chosen:
                with store.write() as connection:
                    taken = self._take(connection, chosen)
                yield taken
            if len(chosen) < limit:
                return
            after = chosen[-1]

    def _chosen(self, connection: Connection, after: Key | None, limit: int) -> list[Key]:
        beyond = [] if after is None else [tuple_(*self._key) > tuple_(*after)]
        if after is not None and len(self._key) == 1:
            beyond = [self._key[0] > after[0]]
        rows = connection.execute(select(*self._key).where(*self.where, *beyond).order_by(*self._key).limit(limit))
        return [tuple(row) for row in rows]

    def _take(self, connection: Connection, chosen: Sequence[Key]) -> int:
        told = [self.table.c[name] for name in self.told]
        rows = connection.execute(
            select(*self._key, *told)
            .where(self._among(chosen), *self.where)
            .order_by(*self._key)
            .with_for_update(skip_locked=True, of=self.table)
        ).all()
        if not rows:
            return 0
        if self.before is not None:
            self.before(connection, rows)
        mine = self._among([tuple(row)[: len(self._key)] for row in rows])
        if self.emptied is None:
            connection.execute(delete(self.table).where(mine))
        else:
            connection.execute(update(self.table).where(mine).values(**self.emptied))
        return len(rows)

    def _among(self, keys: Sequence[Key]) -> ColumnElement[bool]:
        if len(self._key) == 1:
            found: ColumnElement[bool] = self._key[0].in_([key[0] for key in keys])
            return found
        return tuple_(*self._key).in_(list(keys))
