"""Somebody whose context kills the process is alone in being given up."""

from __future__ import annotations

from collections import Counter

import pytest

from selo_dagster.store.engine import Store
from tests.crash.ledger import (
    attempts_of,
    check_attempts,
    check_calls,
    count,
    dead_people,
    due_people,
    ledger,
    lost_of,
    open_rows,
    until_leases_end,
)
from tests.crash.processes import DEADLINE_S, FULL, Calls, worker

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

STARTS_AT_MOST = 8


@pytest.mark.parametrize("killer", ["p00", "p07", "p23"] if FULL else ["p07"])
def test_somebody_whose_context_kills_the_process_is_dead_after_three_and_nobody_else_is(
    store: Store, postgres_url: str, calls: Calls, killer: str
) -> None:
    names = due_people(store, (f"p{number:02}" for number in range(24)))
    starts, killed = 0, 0
    while open_rows(store):
        until_leases_end(store)
        with worker(postgres_url, f"start-{starts}", calls, killer=killer) as one:
            killed += one.process.wait(DEADLINE_S) != 0
        starts += 1
        assert starts <= STARTS_AT_MOST
    assert dead_people(store) == [killer]
    assert count(store, ledger.c.state == "done") == len(names) - 1
    assert [one.outcome for one in attempts_of(store)[killer]] == ["lost"] * 3
    assert Counter(one.user for one in calls.all())[killer] == killed == 3
    lost = lost_of(store)
    assert max(lost[name] for name in names if name != killer) <= 2
    check_attempts(store)
    check_calls(store, calls)
