"""Waits of PostgreSQL's transactions for each other: how long they may take, and how one is known that gave way.

SQLite has one writer, whose wait is bounded for every connection.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.exc import DBAPIError

_GAVE_WAY: Final = frozenset({"40001", "40P01", "55P03"})
"""Could not be put in an order with others, would have waited in a ring, waited for too long: nothing was changed."""

_BOUND: Final = select(
    func.set_config("lock_timeout", bindparam("lock"), True),
    func.set_config("idle_in_transaction_session_timeout", bindparam("silence"), True),
)
"""Both until the end of the transaction."""


def bound_waits(connection: Connection, *, lock_s: float, silence_s: float) -> None:
    """Bound what this transaction waits for, and what others may have to wait for it.

    lock_s: it gives way where a lock is not free within so many seconds. silence_s: the server ends it where it hears
    nothing from it for as long: its process was stopped, or its machine is lost.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_BOUND, {"lock": _milliseconds(lock_s), "silence": _milliseconds(silence_s)})


def gave_way(broken: DBAPIError) -> bool:
    """Tell whether the database made a transaction give way to another: it may be begun anew at once."""
    return getattr(broken.orig, "pgcode", None) in _GAVE_WAY


def _milliseconds(seconds: float) -> str:
    # 0 would be for ever.
    return str(max(1, round(seconds * 1_000)))
