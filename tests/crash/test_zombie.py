"""A worker that slept past its lease and wakes up changes nothing that is not its own any more."""

from __future__ import annotations

import signal

import pytest

from selo_dagster.reflections.claim import LOST
from selo_dagster.store.engine import Store
from tests.crash.ledger import (
    attempts_of,
    check_attempts,
    check_calls,
    check_done_once,
    due_people,
    other_connections,
    stored,
    until_leases_end,
)
from tests.crash.processes import Calls, Worker, until, worker
from tests.crash.worker import CONCURRENCY

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

REFUSED = "was lost: nothing was stored"


def test_a_worker_that_wakes_up_after_another_has_finished_stores_nothing(
    store: Store, postgres_url: str, calls: Calls
) -> None:
    names = due_people(store, (f"p{number:02}" for number in range(12)))
    with worker(postgres_url, "sleeper", calls, slow_s=0.5) as sleeper:
        _put_to_sleep(sleeper, store, calls)
        until_leases_end(store)
        with worker(postgres_url, "successor", calls) as successor:
            assert successor.settled() == len(names)
        before = stored(store)
        sleeper.signal(signal.SIGCONT)
        assert sleeper.settled() == 0
        assert stored(store) == before
        assert sleeper.errors.read_text().count(REFUSED) == CONCURRENCY
    _check(store, names, calls)


def test_a_worker_that_wakes_up_while_another_is_at_it_neither_finishes_nor_releases_for_it(
    store: Store, postgres_url: str, calls: Calls
) -> None:
    # No more than can be asked about at once: the successor has everybody in its hands.
    names = due_people(store, (f"p{number:02}" for number in range(CONCURRENCY)))
    with worker(postgres_url, "sleeper", calls, slow_s=0.5) as sleeper:
        _put_to_sleep(sleeper, store, calls)
        until_leases_end(store)
        with worker(postgres_url, "successor", calls, slow_s=2.0, lease_s=30.0) as successor:
            until(lambda: len(calls.of("successor")) == CONCURRENCY, "the successor has not begun")
            held = stored(store)
            sleeper.signal(signal.SIGCONT)
            assert sleeper.settled() == 0
            assert stored(store) == held, "or the successor was quicker than the sleeper"
            assert sleeper.errors.read_text().count(REFUSED) == CONCURRENCY
            assert successor.settled() == len(names)
    _check(store, names, calls)


def _put_to_sleep(sleeper: Worker, store: Store, calls: Calls) -> None:
    """Stop it with every call under way, and outside any transaction: those would keep their rows locked."""
    until(lambda: len(calls.all()) == CONCURRENCY, "the calls are not under way")

    def stopped_outside() -> bool:
        sleeper.signal(signal.SIGSTOP)
        if other_connections(store.engine, "idle in transaction%") == 0 == other_connections(store.engine, "active"):
            return True
        sleeper.signal(signal.SIGCONT)
        return False

    until(stopped_outside, "it was always in a transaction")
    assert len(calls.all()) == CONCURRENCY


def _check(store: Store, names: list[str], calls: Calls) -> None:
    check_done_once(store, names)
    check_attempts(store)
    check_calls(store, calls)
    for theirs in attempts_of(store).values():
        assert [one.outcome for one in theirs if one.run_id == "sleeper"] in ([], [LOST])
        assert [one.outcome for one in theirs if one.run_id == "successor"] == ["done"]
