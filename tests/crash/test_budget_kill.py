"""Kill -9 between reserving and counting: what was reserved comes back, and no cap is passed meanwhile."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from selo_dagster.llm.budgets.tables import FLEET, spending_calls, spending_days
from selo_dagster.store.engine import Store
from tests.crash.ledger import check_done_once, due_people, lost_of, until_leases_end
from tests.crash.processes import Calls, until, worker
from tests.crash.worker import CONCURRENCY

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

CAP = 100_000
USED = 30
"""Tokens of an answer of the tests' model."""


def reserved(store: Store) -> tuple[int, int]:
    """Return the calls under way and the tokens that they hold."""
    with store.read() as connection:
        number, tokens = connection.execute(
            select(func.count(), func.coalesce(func.sum(spending_calls.c.tokens), 0))
        ).one()
    return int(number), int(tokens)


def spent(store: Store) -> tuple[int, int]:
    """Return the tokens that the fleet has used, and those of calls of which nobody heard again."""
    with store.read() as connection:
        row = connection.execute(select(spending_days).where(spending_days.c.scope == FLEET)).one()
    return row.tokens, row.unheard_tokens


def test_a_worker_that_is_killed_leaves_no_room_reserved(store: Store, postgres_url: str, calls: Calls) -> None:
    names = due_people(store, (f"p{number:02}" for number in range(12)))
    with worker(postgres_url, "victim", calls, slow_s=30.0, budget=CAP) as victim:
        until(lambda: len(calls.all()) == CONCURRENCY, "the calls are not under way")
        held, tokens = reserved(store)
        assert held == CONCURRENCY
        assert tokens <= CAP
        assert victim.kill()
    assert reserved(store) == (held, tokens)
    until_leases_end(store)
    with worker(postgres_url, "next", calls, budget=CAP) as successor:
        assert successor.settled() == len(names)
    assert reserved(store) == (0, 0)
    assert spent(store) == (USED * len(names), tokens)
    assert sum(lost_of(store).values()) == CONCURRENCY
    check_done_once(store, names)
