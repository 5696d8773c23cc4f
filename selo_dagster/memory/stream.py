"""The event stream: committed rows get their number from the reader, and a position runs over the numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from selo_dagster.memory.tables import events, stream_positions

NUMBERING: Final = "numbering"
_LOCK: Final = 0x5E10_0001


class StreamEvent(NamedTuple):
    """One numbered event.

    seq: its place in the stream; origin: whose id `ref` is; at: when it happened; arrived_at: when its row was
    written, by the database's clock; both UTC.
    """

    seq: int
    origin: str
    type: str
    user_id: str
    ref: str
    at: datetime
    payload: dict[str, Any]
    arrived_at: datetime


COLUMNS: Final = tuple(
    events.c[name] for name in ("seq", "origin", "type", "user_id", "ref", "at", "payload", "created_at")
)
"""What is read of an event, in the order of StreamEvent."""


def lock_stream(connection: Connection) -> None:
    """Make this write transaction the only reader of the stream until it ends.

    SQLite needs nothing: its write transaction holds the one lock there is.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def number_committed(connection: Connection, limit: int) -> int:
    """Number up to `limit` committed events that have no number yet; returns how many.

    The caller holds the stream's lock. A number is never given twice, also after rows were deleted.
    """
    base = position(connection, NUMBERING)
    fresh = select(events.c.id).where(events.c.seq.is_(None)).order_by(events.c.id).limit(limit).subquery("fresh")
    numbered = select(fresh.c.id, func.row_number().over(order_by=fresh.c.id).label("place")).subquery("numbered")
    count = connection.execute(
        update(events).values(seq=numbered.c.place + bindparam("base")).where(events.c.id == numbered.c.id),
        {"base": base},
    ).rowcount
    if count:
        set_position(connection, NUMBERING, base + count)
    return count


def read_after(
    connection: Connection, seq: int, limit: int, *, upto: int | None = None, event: str | None = None
) -> list[StreamEvent]:
    """Return up to `limit` events after `seq`, in order; `upto`: none after that number; `event`: only of this name."""
    chosen = [events.c.seq > seq] if upto is None else [events.c.seq > seq, events.c.seq <= upto]
    if event is not None:
        chosen.append(events.c.type == event)
    rows = connection.execute(select(*COLUMNS).where(*chosen).order_by(events.c.seq).limit(limit))
    return [StreamEvent(*row) for row in rows]


def position(connection: Connection, reader: str) -> int:
    """Return the last number that `reader` has taken in; 0 at first."""
    found = connection.execute(select(stream_positions.c.seq).where(stream_positions.c.reader == reader)).scalar()
    return int(found or 0)


def set_position(connection: Connection, reader: str, seq: int) -> None:
    """Remember how far `reader` has come, in the transaction of what it made of it."""
    moved = connection.execute(
        update(stream_positions).where(stream_positions.c.reader == reader).values(seq=seq)
    ).rowcount
    if not moved:
        connection.execute(insert(stream_positions).values(reader=reader, seq=seq))
