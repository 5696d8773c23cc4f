"""How long the event stream is kept: an event that every reader has read may go; what it was about stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, select

from selo_dagster.memory.stream import NUMBERING, lock_stream
from selo_dagster.memory.tables import events, stream_positions

AT_ONCE: Final = 1_000
"""Events of one transaction: SQLite's one writer, and the stream's lock, are not kept for longer than a moment."""


def prune_events(
    connection: Connection,
    older_than: datetime,
    *,
    keep: Select[Any] | None = None,
    readers: Sequence[str] = (),
    limit: int = AT_ONCE,
) -> int:
    """Delete up to `limit` of the oldest events that arrived before `older_than`; returns how many.

    keep: SELECT of numbers that must stay. readers: who has to have read an event, also one that never looked yet.
    An event that a reader has not read stays whatever its age. The caller
    repeats it until it returns less than the limit.
    """
    lock_stream(connection)
    chosen = _prunable(connection, older_than, keep, readers, limit)
    if not chosen:
        return 0
    return connection.execute(delete(events).where(events.c.id.in_(chosen))).rowcount


def prunable_events(
    connection: Connection, older_than: datetime, *, keep: Select[Any] | None = None, readers: Sequence[str] = ()
) -> int:
    """Return how many events `prune_events` would delete in all."""
    conditions = _conditions(connection, keep, readers)
    if conditions is None:
        return 0
    query = select(func.count()).select_from(events).where(*conditions, events.c.created_at < older_than)
    return int(connection.execute(query).scalar_one())


def _prunable(
    connection: Connection, older_than: datetime, keep: Select[Any] | None, readers: Sequence[str], limit: int
) -> list[int]:
    conditions = _conditions(connection, keep, readers)
    if conditions is None:
        return []
    # The stream's order is nearly that of arrival: the first ones tell whether there is anything old at all.
    oldest = select(events.c.id, events.c.created_at).where(*conditions).order_by(events.c.seq).limit(limit)
    return [row.id for row in connection.execute(oldest) if row.created_at < older_than]


def _conditions(connection: Connection, keep: Select[Any] | None, readers: Sequence[str]) -> list[Any] | None:
    positions = {row.reader: row.seq for row in connection.execute(select(stream_positions))}
    positions.pop(NUMBERING, None)
    upto = min([*positions.values(), *(0 for reader in readers if reader not in positions)], default=0)
    if not upto:
        return None
    return [events.c.seq <= upto, *([] if keep is None else [events.c.seq.not_in(keep)])]
