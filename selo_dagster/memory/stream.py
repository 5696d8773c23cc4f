"""The event stream: committed rows get their number from the reader, and a position runs over the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from selo_dagster.memory.tables import events, stream_positions

MESSAGE_CREATED: Final = "message_created"
MEMORY_CREATED: Final = "memory_created"
USER_STATED: Final = "user_stated"

_NUMBERING: Final = "numbering"
_LOCK: Final = 0x5E10_0001


@dataclass(frozen=True)
class StreamEvent:
    """One numbered event. seq: its place in the stream; origin: whose id `ref` is; at: when it happened, UTC."""

    seq: int
    origin: str
    type: str
    user_id: str
    ref: str
    at: datetime
    payload: dict[str, Any]


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
    base = position(connection, _NUMBERING)
    fresh = select(events.c.id).where(events.c.seq.is_(None)).order_by(events.c.id).limit(limit).subquery("fresh")
    numbered = select(fresh.c.id, func.row_number().over(order_by=fresh.c.id).label("place")).subquery("numbered")
    count = connection.execute(
        update(events).values(seq=numbered.c.place + bindparam("base")).where(events.c.id == numbered.c.id),
        {"base": base},
    ).rowcount
    if count:
        set_position(connection, _NUMBERING, base + count)
    return count


def read_after(connection: Connection, seq: int, limit: int) -> list[StreamEvent]:
    """Return up to `limit` events after `seq`, in order."""
    rows = connection.execute(
        select(
            events.c.seq, events.c.origin, events.c.type, events.c.user_id, events.c.ref, events.c.at, events.c.payload
        )
        .where(events.c.seq > seq)
        .order_by(events.c.seq)
        .limit(limit)
    )
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
