"""One round of housekeeping: what is older than its retention goes, in batches, until it is gone or time is up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from selo_dagster.operations.housekeeping.groups import Group, chosen, groups
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store

log = logging.getLogger(__name__)

TOLD_EVERY_S: Final = 10.0
LONGEST_REST_S: Final = 0.2
FOR_S: Final = 3_600.0
"""Seconds of the nightly round; what is left goes on the next night."""


@dataclass
class Budget:
    """Time that a round may take. ticks: a clock that only goes forward, in seconds; rest: lets so many go by."""

    seconds: float
    ticks: Callable[[], float] = time.monotonic
    rest: Callable[[float], None] = time.sleep
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        """Start to count."""
        self._began = self.ticks()

    def spent(self) -> bool:
        """Tell whether time is up."""
        return self.ticks() - self._began >= self.seconds


@dataclass(frozen=True)
class Done:
    """What a round did to one table. rows: gone, emptied, or in a dry run those that would be."""

    group: str
    table: str
    rows: int
    keep_days: int
    stays: str
    emptied: bool = False

    @property
    def shown(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {
            "group": self.group,
            "table": self.table,
            "rows": self.rows,
            "keep_days": self.keep_days,
            "stays": self.stays,
            "emptied": self.emptied,
        }


@dataclass
class Round:
    """What a round did. finished: whether nothing was left when it stopped."""

    done: list[Done] = field(default_factory=list)
    finished: bool = True

    def rows(self, table: str) -> int:
        """Return the number of rows of a table."""
        return sum(one.rows for one in self.done if one.table == table)


def keep_house(
    store: Store,
    now: datetime,
    settings: Settings,
    *,
    only: Sequence[str] = (),
    event_days: int | None = None,
    dry_run: bool = False,
    budget: Budget | None = None,
) -> Round:
    """Delete what is older than its retention; a batch is a transaction. Safe to run twice at once, and to kill.

    only: names of groups. event_days: instead of SELO_EVENT_KEEP_DAYS. dry_run: only count.
    """
    limit = budget or Budget(FOR_S)
    found = Round()
    with store.read() as connection:
        wanted = chosen(groups(connection, now, settings, event_days), only)
        if dry_run:
            found.done = [_done(one, part.table, part.number(connection)) for one in wanted for part in one.parts]
            return found
    for one in wanted:
        for part in one.parts:
            rows, told_at = 0, limit.ticks()
            if limit.spent():
                found.finished = False
            else:
                began = limit.ticks()
                for gone in part.batches(store):
                    rows += gone
                    if store.dialect == "sqlite":
                        # Its one write lock goes to whoever happens to ask: without a rest the others rarely would.
                        limit.rest(min(limit.ticks() - began, LONGEST_REST_S))
                        began = limit.ticks()
                    if limit.ticks() - told_at >= TOLD_EVERY_S:
                        log.info("housekeeping: %d rows of %s so far", rows, part.table)
                        told_at = limit.ticks()
                    if limit.spent():
                        found.finished = False
                        break
            found.done.append(_done(one, part.table, rows))
    return found


def _done(group: Group, table: str, rows: int) -> Done:
    return Done(group.name, table, rows, group.keep_days, group.stays, group.emptied)
