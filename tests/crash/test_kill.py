"""Kill -9 at any moment: nothing lost, nothing twice, and no more calls wasted than were under way."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from random import Random

import pytest

from selo_dagster.reflections.cohort import TASKS_A_CALL
from selo_dagster.reflections.dead import DeadLetter, dead_letters, replay
from selo_dagster.store.engine import Store
from tests.crash.ledger import (
    check_attempts,
    check_calls,
    check_done_once,
    dead_people,
    due_people,
    lost_of,
    open_rows,
    other_connections,
    until_leases_end,
)
from tests.crash.processes import FULL, Calls, Worker, until, worker
from tests.crash.worker import CONCURRENCY
from tests.support.fakes import NOW, run_cohort

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

log = logging.getLogger(__name__)

KILLS = 50 if FULL else 8
NEW_A_ROUND = 24
SLOW_S = 0.04
ONE_S = SLOW_S + 0.01
"""A person's call and the writing around it."""
IN_HAND = TASKS_A_CALL * CONCURRENCY
"""People begun and not stored at any moment: calls under way, and answers on their way into the database."""


@pytest.mark.timeout(600 if FULL else 120)
def test_whoever_kills_a_worker_at_random_moments_loses_nobody_and_doubles_nobody(
    store: Store, postgres_url: str, calls: Calls
) -> None:
    random = Random(19)
    names: list[str] = []
    kills = 0
    with _workers_one_ahead(postgres_url, calls) as workers:
        while kills < KILLS:
            names += due_people(store, (f"p{len(names) + number:05}" for number in range(NEW_A_ROUND)))
            expected_s = open_rows(store) * ONE_S / CONCURRENCY
            victim = next(workers)
            victim.go()
            victim.said("READY")
            time.sleep(random.uniform(0, expected_s))  # not a wait for anything: the moment of the kill
            kills += victim.kill()
    _finish(store, postgres_url, calls, "last")
    unlucky = dead_people(store)
    if unlucky:
        # In hand at three kills: given up by the rule, and brought back by hand.
        replay(store, _dead_letters(store), NOW, 3)
        _finish(store, postgres_url, calls, "after-replay")

    check_done_once(store, names)
    check_attempts(store)
    check_calls(store, calls)
    lost, wasted = lost_of(store).total(), len(calls.all()) - len(names)
    assert wasted <= lost <= IN_HAND * kills
    assert run_cohort(store, run_id="finds-nothing") == []
    log.info(f"{kills} kills, {len(names)} people, {lost} attempts lost, {wasted} calls wasted, dead: {unlucky}")


def test_a_worker_and_its_parent_that_die_together_leave_everything_to_the_next(
    store: Store, postgres_url: str, calls: Calls
) -> None:
    names = due_people(store, (f"p{number:02}" for number in range(20)))
    with worker(postgres_url, "below-a-server", calls, slow_s=0.1, below_a_parent=True) as victim:
        victim.said("READY")
        until(lambda: len(calls.all()) > CONCURRENCY, "nobody was settled")
        assert calls.all()[0].pid != victim.process.pid
        assert victim.kill_group()
        until(lambda: other_connections(store.engine) == 0, "the worker outlived its process group")
    assert open_rows(store) > 0
    _finish(store, postgres_url, calls, "next")

    check_done_once(store, names)
    check_attempts(store)
    check_calls(store, calls)
    assert len(calls.all()) - len(names) <= IN_HAND
    assert max(lost_of(store).values()) == 1


@contextmanager
def _workers_one_ahead(url: str, calls: Calls) -> Iterator[Iterator[Worker]]:
    """Give out workers that wait to begin; the next one loads while its predecessor works."""
    with ExitStack() as stack:

        def started(number: int) -> Worker:
            return stack.enter_context(worker(url, f"run-{number:03}", calls, slow_s=SLOW_S, wait=True))

        def workers() -> Iterator[Worker]:
            ahead = started(0)
            for number in count(1):
                ready, ahead = ahead, started(number)
                ready.said("LOADED")
                yield ready

        yield workers()


def _finish(store: Store, url: str, calls: Calls, run_id: str) -> None:
    """Let a worker do what is left, once the dead ones' leases have run out."""
    until_leases_end(store)
    with worker(url, run_id, calls) as last:
        last.settled()


def _dead_letters(store: Store) -> list[DeadLetter]:
    with store.read() as connection:
        return dead_letters(connection)
