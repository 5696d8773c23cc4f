"""What `--dry-run` says: what a request would do, found out in a savepoint that is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.look import look
from selo_dagster.reflections.request import Reply, Wish, place_in
from selo_dagster.store.engine import Store

_DRY = "dry-run"


@dataclass(frozen=True)
class Planned:
    """would: (person, date) for whom a model would be asked. replies: those that need nothing."""

    would: tuple[tuple[str, date], ...]
    replies: tuple[Reply, ...]


def planned(
    store: Store,
    kind: Kind,
    users: tuple[str, ...] | None,
    dates: Sequence[date | None],
    *,
    force: bool,
    now: datetime,
    catchup_days: int,
) -> Planned:
    """Return what a request would do. Enrols who is due, as any look does, and changes nothing else."""
    look(store, kind, now, catchup_days)
    replies: list[Reply] = []
    with store.write() as connection:
        undone = connection.begin_nested()
        chosen = ledger.c.ready_at <= now
        if users is not None or list(dates) != [None]:
            chosen = ledger.c.request_id == _DRY
            for day in dates:
                replies += place_in(connection, kind, Wish(_DRY, users, day, force), now, catchup_days)
        would = connection.execute(
            select(ledger.c.user_id, ledger.c.on)
            .where(ledger.c.kind == kind.name, chosen)
            .order_by(ledger.c.on.desc(), ledger.c.user_id)
        ).all()
        undone.rollback()
    return Planned(tuple((row.user_id, row.on) for row in would), tuple(replies))
