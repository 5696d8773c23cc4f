"""Several workers at the same time on the same rows: each row once, each model call once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from selo_dagster.store.engine import Store
from tests.crash.ledger import check_attempts, check_calls, check_done_once, due_people, lost_of
from tests.crash.processes import Calls, worker

pytestmark = [pytest.mark.crash, pytest.mark.postgres]


@pytest.mark.parametrize("number", [2, 4])
def test_workers_at_the_same_time_take_every_row_once_with_one_call_each(
    store: Store, postgres_url: str, calls: Calls, number: int
) -> None:
    names = due_people(store, (f"p{index:03}" for index in range(120)))
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker(postgres_url, f"run-{index}", calls, lease_s=30.0, slow_s=0.02, wait=True))
            for index in range(number)
        ]
        for one in workers:
            one.said("LOADED")
        for one in workers:
            one.go()
        settled = [one.settled() for one in workers]
    check_done_once(store, names)
    check_attempts(store)
    check_calls(store, calls)
    assert sum(settled) == len(names)
    assert all(settled), "one of them found nothing: they did not work at the same time"
    assert sorted(one.user for one in calls.all()) == names
    assert lost_of(store).total() == 0
