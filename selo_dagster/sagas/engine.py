"""What the engine is given, how it cuts a cohort into chunks, and what it reports of one step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from sqlalchemy import Connection, text

from selo_dagster.clock import Clock
from selo_dagster.llm.breaker import Breaker
from selo_dagster.llm.budgets.caps import Budget
from selo_dagster.reflections.acceptance import Acceptance
from selo_dagster.sagas.definition import Retry
from selo_dagster.sagas.journal import Token
from selo_dagster.store.engine import Store

CHUNK: Final = 50
"""Sagas in one transaction: their effects, their rows and one commit."""

OUTSIDE_AT_ONCE: Final = 8
"""Calls outside the database at the same time in one run."""


@dataclass(frozen=True)
class Tools:
    """What the engine is given instead of reaching for it. random: for jitter; monotonic: seconds, for durations.

    breaker: of the model's endpoint, for steps that ask it; budget: out of which they pay, None where nothing is
    bounded; acceptance: what an evaluation has to have accepted first.
    """

    store: Store
    clock: Clock
    random: Random
    monotonic: Callable[[], float] = time.monotonic
    chunk: int = CHUNK
    breaker: Breaker | None = None
    budget: Budget | None = None
    acceptance: Acceptance | None = None


@dataclass
class Report:
    """What one step came to in one run.

    done: sagas that are through it now; again: those that were before. broken: id → code of those that turn round
    or are parked. passing: id → when to try again; held_up: those of them that wait for what others have to give, room
    in a budget or their model, no_room: the former. lost: claims that do not stand any more. cause: the last error, for
    whoever raises one of his own from it; holds private text, so it is never shown.
    """

    done: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    passing: dict[str, datetime] = field(default_factory=dict)
    held_up: set[str] = field(default_factory=set)
    no_room: set[str] = field(default_factory=set)
    lost: int = 0
    seconds: float = 0.0
    cause: Exception | None = field(default=None, repr=False)

    @property
    def through(self) -> list[str]:
        """Everybody who may go on."""
        return [*self.done, *self.again]

    def longest_wait_s(self, now: datetime) -> float:
        """Return how long the last of those that failed for a passing reason has to wait."""
        return max(((at - now).total_seconds() for at in self.passing.values()), default=0.0)


def chunks(tokens: Sequence[Token], size: int) -> Iterator[list[Token]]:
    """Yield tokens in chunks, ordered by id: two runs never lock the same rows in different orders."""
    ordered = sorted(tokens)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def wait_until(now: datetime, retry: Retry, failures: int, random: Random) -> datetime:
    """Return when to try again: full jitter under a growing cap."""
    return now + timedelta(seconds=random.uniform(0, retry.longest_wait_s(failures)))


def limit_statements(connection: Connection, seconds: float) -> None:
    """Bound each statement of this transaction. SQLite has no such limit: a handler there must not hang."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(int(seconds * 1000))})


def token_text(saga_id: str, generation: int, step: str, direction: str) -> str:
    """Return the name under which the outside knows one step: the same for each try, another after a restart. R6."""
    return f"{saga_id}/{generation}/{step}/{direction}"
