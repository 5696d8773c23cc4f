"""Budgets: what their tests share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from selo_dagster.llm.budgets.bound import Bound
from selo_dagster.llm.budgets.calls import Call, Tab
from selo_dagster.llm.budgets.caps import Amount, Budget, Cap
from selo_dagster.llm.budgets.reserving import Asked, Granted, Reply, reserve
from selo_dagster.llm.budgets.standing import Line, lines, spenders
from selo_dagster.llm.protocol import Completion
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW

LEASE_S = 60.0


def tokens(*, fleet: int | None = None, kind: int | None = None, user: int | None = None, **more: Any) -> Budget:
    """Return a budget of tokens."""
    return Budget(Cap(fleet), Cap(kind), Cap(user), **{"max_tokens": 10, **more})


def asked(owner: str, most: int, *, user: str = "ana", kind: str = "daily", **more: Any) -> Asked:
    """Return a call that may take `most` tokens, ten of them written."""
    return Asked(owner, user, kind, Bound(most - 10, 10), **more)


def replies(
    store: Store, budget: Budget, *wanted: Asked, now: datetime = NOW, lease_s: float = LEASE_S
) -> Sequence[Reply]:
    """Ask for room, in a transaction."""
    with store.write() as connection:
        return reserve(connection, budget, wanted, now, lease_s)


def granted(store: Store, budget: Budget, wanted: Asked, **more: Any) -> Call:
    """Ask for room that there has to be."""
    (reply,) = replies(store, budget, wanted, **more)
    assert isinstance(reply, Granted)
    assert reply.call is not None
    return reply.call


def answer(input_tokens: int, output_tokens: int) -> Completion:
    """Return an answer that used so much."""
    return Completion("{}", "scripted", input_tokens, output_tokens, "stop", 0.1)


def end(store: Store, call: Call, *completion: Completion, error: BaseException | None = None) -> None:
    """End a call with an answer, an error, or nothing that anybody heard of."""
    tab = Tab(calls=[call])
    for one in completion:
        tab.answered(one)
    if error is not None:
        tab.broke(error)
    with store.write() as connection:
        tab.count(connection)


def book(store: Store, budget: Budget, now: datetime = NOW) -> dict[str, Line]:
    """Return the day's lines: the fleet's under "", kinds and people under their names."""
    with store.read() as connection:
        return {one.subject: one for one in (*lines(connection, budget, now), *spenders(connection, budget, now))}


def held(store: Store, budget: Budget, whose: str = "", now: datetime = NOW) -> tuple[int, int]:
    """Return the tokens that are spent and reserved."""
    line = book(store, budget, now).get(whose)
    spent, reserved = (Amount(), Amount()) if line is None else (line.spent, line.reserved)
    return spent.tokens, reserved.tokens
