"""What is kept for how long: one function behind the command and the nightly job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from selo_dagster.memory.retention import AT_ONCE, prunable_events, prune_events
from selo_dagster.reflections.days import READER as DAYS_READER
from selo_dagster.sagas.conversations import READER as CONVERSATIONS_READER
from selo_dagster.store.engine import Store
from selo_dagster.triggers.parked import PARKED, parked
from selo_dagster.triggers.reader import READER as TRIGGERS_READER

READERS: Final = (DAYS_READER, TRIGGERS_READER, CONVERSATIONS_READER)


@dataclass(frozen=True)
class Kept:
    """What one round of housekeeping did, or would do."""

    events: int


def keep_house(store: Store, now: datetime, keep_days: int, *, dry_run: bool = False) -> Kept:
    """Delete what is older than its retention, in batches of a transaction each; returns how many rows.

    Events of the stream: `keep_days` after they arrived, once every reader has read them. A parked event waits for
    a person however old it is.
    """
    older_than = now - timedelta(days=keep_days)
    waiting = select(parked.c.seq).where(parked.c.state == PARKED)
    if dry_run:
        with store.read() as connection:
            return Kept(prunable_events(connection, older_than, keep=waiting, readers=READERS))
    total = 0
    while True:
        with store.write() as connection:
            gone = prune_events(connection, older_than, keep=waiting, readers=READERS)
        total += gone
        if gone < AT_ONCE:
            return Kept(total)
