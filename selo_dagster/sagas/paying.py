"""Pays for what a step asks a model out of the day's budgets: reserved before the call, counted when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import Connection, func, select, update

from selo_dagster.llm.breaker import FIRST_WAIT_S
from selo_dagster.llm.budgets.bound import bound_of
from selo_dagster.llm.budgets.calls import Tab
from selo_dagster.llm.budgets.caps import Budget, Over
from selo_dagster.llm.budgets.reserving import Asked, Granted, reserve
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.sagas.given import Given
from selo_dagster.sagas.states import WAITING
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store

NO_ROOM = "budget"
"""Why a saga waits whose step found no room in a budget."""


class NoRoomError(Exception):
    """A step could not ask for want of room in a budget. until: when to look again."""

    def __init__(self, until: datetime) -> None:
        super().__init__(NO_ROOM)
        self.until = until


@dataclass(frozen=True)
class Payer:
    """Pays for one try of one step, in transactions of its own. epoch: of the claim; lease_s: as for `reserve`.

    What was used is counted whatever becomes of the step.
    """

    store: Store
    budget: Budget
    given: Given
    epoch: int
    random: Random
    lease_s: float

    def begin(self, request: CompletionRequest) -> Tab:
        """Reserve a first call. Raises NoRoomError."""
        owner = f"saga/{self.given.token}/{self.epoch}/{self.random.getrandbits(32):08x}"
        asked = Asked(owner, self.given.user_id, self.given.saga, bound_of(request, self.budget.max_tokens))
        with self.store.write() as connection:
            (reply,) = reserve(connection, self.budget, [asked], self.given.now, self.lease_s)
        if isinstance(reply, Granted):
            return Tab(reply.model, [] if reply.call is None else [reply.call])
        # Room that others have reserved may come back at any moment.
        soon = self.given.now + timedelta(seconds=FIRST_WAIT_S)
        raise NoRoomError(reply.until if isinstance(reply, Over) else soon)

    def another(self, tab: Tab, request: CompletionRequest) -> bool:
        """Reserve one more call of the same model; false: there is no room for it."""
        if not tab.calls:
            return True
        last = tab.calls[-1]
        bound = bound_of(request, self.budget.max_tokens)
        asked = Asked(last.owner, last.user_id, last.kind, bound, last.number + 1, light=tab.model > 0)
        with self.store.write() as connection:
            same = replace(self.budget, policy="defer")
            (reply,) = reserve(connection, same, [asked], self.given.now, self.lease_s)
        if not isinstance(reply, Granted) or reply.call is None:
            return False
        tab.calls.append(reply.call)
        return True

    def count(self, tab: Tab) -> None:
        """Count what was used."""
        if tab.calls:
            with self.store.write() as connection:
                tab.count(connection)


def waiting_for_room(connection: Connection) -> dict[str, int]:
    """Return how many sagas of each type wait for room in a budget."""
    rows = connection.execute(
        select(sagas.c.type, func.count().label("n")).where(*_WAITS).group_by(sagas.c.type).order_by(sagas.c.type)
    )
    return {row.type: row.n for row in rows}


def try_again(connection: Connection, now: datetime, *, kind: str | None = None, user: str | None = None) -> int:
    """Let sagas that wait for room look again at once; returns how many. kind: a type of saga."""
    chosen = [*([] if kind is None else [sagas.c.type == kind]), *([] if user is None else [sagas.c.user_id == user])]
    return connection.execute(
        update(sagas).where(*_WAITS, sagas.c.next_attempt_at > now, *chosen).values(next_attempt_at=now)
    ).rowcount


_WAITS = (sagas.c.state == WAITING, sagas.c.reason == NO_ROOM)

_PAYER: ContextVar[Payer | None] = ContextVar("selo_payer", default=None)


@contextmanager
def paid_by(payer: Payer | None) -> Iterator[None]:
    """Let one pay for whatever is asked inside, also in threads that take over its context."""
    before = _PAYER.set(payer)
    try:
        yield
    finally:
        _PAYER.reset(before)


def payer_now() -> Payer | None:
    """Return who pays; None: nothing is bounded."""
    return _PAYER.get()
