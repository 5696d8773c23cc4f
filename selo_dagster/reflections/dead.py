"""Dead letters: obligations that no try is left for. Listed with what they died of, and replayable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, and_, or_, select

from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.request import Wish, place
from selo_dagster.reflections.states import DEAD, REJECTED
from selo_dagster.store.engine import Store

REPLAY = "replay"


@dataclass(frozen=True)
class DeadLetter:
    """One obligation without a try left. reason: class of the last error, or the first violation code."""

    user: str
    kind: str
    on: date
    outcome: str
    reason: str | None
    codes: tuple[str, ...]
    attempts: int
    lost: int
    at: datetime | None


def dead_letters(connection: Connection, *, kind: str | None = None, user: str | None = None) -> list[DeadLetter]:
    """Return dead obligations and rejected ones that wait for a person, newest date first."""
    chosen = [
        *([] if kind is None else [ledger.c.kind == kind]),
        *([] if user is None else [ledger.c.user_id == user]),
    ]
    rows = connection.execute(
        select(ledger)
        .where(or_(ledger.c.state == DEAD, and_(ledger.c.state == REJECTED, ledger.c.ready_at.is_(None))), *chosen)
        .order_by(ledger.c.on.desc(), ledger.c.user_id)
    )
    return [
        DeadLetter(
            row.user_id,
            row.kind,
            row.on,
            row.state,
            row.reason,
            tuple(row.codes or ()),
            row.attempts,
            row.lost,
            row.settled_at,
        )
        for row in rows
    ]


def replay(store: Store, letters: Sequence[DeadLetter], now: datetime, catchup_days: int) -> int:
    """Make dead obligations due again, with all their tries; returns how many."""
    by_date: dict[tuple[str, date], list[str]] = {}
    for letter in letters:
        by_date.setdefault((letter.kind, letter.on), []).append(letter.user)
    for (kind, on), users in by_date.items():
        # What is not made for dates is asked for without one: then whatever is open of it is taken up again.
        asked = on if KINDS[kind].cadence.dated else None
        place(store, KINDS[kind], Wish(REPLAY, tuple(dict.fromkeys(users)), asked), now, catchup_days)
    return len(letters)
