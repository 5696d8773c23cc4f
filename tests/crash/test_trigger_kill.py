"""Kill -9 of whoever lets the rules look at the stream: no strong memory is lost, and none is asked about twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import pytest

from selo_dagster.memory.event_types import MEMORY_CREATED, USER_STATED
from selo_dagster.memory.stream import position
from selo_dagster.store.engine import Store
from selo_dagster.triggers.reader import READER
from tests.crash.ledger import other_connections
from tests.crash.processes import FULL, until
from tests.crash.stream import (
    EAGER,
    IMPORTANT,
    STRONG,
    WEAK,
    Forks,
    check_asked_once,
    check_numbers,
    claim_requests,
    events_of,
    look,
    requests_of,
    seen_by,
    trigger_worker,
    write_memories,
    write_people,
)

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600 if FULL else 120)]

log = logging.getLogger(__name__)

KILLS = 200 if FULL else 10
BATCH = 4
"""Few events in one transaction: many transactions in one look, so that kills come between and inside them."""


class Life:
    """People who come and things that are remembered of them, a round at a time."""

    def __init__(self, store: Store) -> None:
        self.strong: set[str] = set()
        self._store = store
        self._rounds = count()

    def goes_on(self) -> None:
        """Remember something of two new people, and something more of those who came in the last rounds."""
        number = next(self._rounds)
        new = [f"p{number:04}-{one}" for one in range(2)]
        known = [f"p{earlier:04}-{one}" for earlier in range(max(0, number - 6), number) for one in range(2)]
        rows = [(name, f"{name}-{number}", STRONG) for name in new + known]
        rows += [(name, f"{name}-{number}-weak", WEAK) for name in new]
        with self._store.write() as connection:
            write_people(connection, new)
            write_memories(connection, rows)
        self.strong |= {memory_id for _, memory_id, weight in rows if weight == STRONG}


def check(store: Store, life: Life) -> None:
    """Nothing is lost and nothing is doubled once somebody looked to the end."""
    look(store)
    check_numbers(store)
    remembered = events_of(store, MEMORY_CREATED)
    assert remembered > len(life.strong) > 0
    for rule in (IMPORTANT, EAGER.name):
        assert seen_by(store, rule) == remembered
        check_asked_once(store, life.strong, rule)


@contextmanager
def forks(folder: Path, url: str, number: int) -> Iterator[list[Forks]]:
    """Give out workers that fork whoever looks."""
    with ExitStack() as stack:
        found = []
        for one in range(number):
            own = folder / f"forks-{one}"
            own.mkdir()
            found.append(Forks(stack.enter_context(trigger_worker(own, "forks", "--url", url))))
        yield found


def test_a_look_that_dies_before_any_of_its_statements_loses_and_doubles_nothing(
    store: Store, postgres_url: str, tmp_path: Path
) -> None:
    life = Life(store)
    died = []
    with forks(tmp_path, postgres_url, 1) as (only,):
        for at in count(1, 1 if FULL else 5):
            life.goes_on()
            claim_requests(store, "run")
            only.begin(f"{at} {100_000}")
            if only.ended() == 0:
                break
            died.append(at)
        # Once more with several transactions in one look: it dies in a later one, with the first ones committed.
        for at in range(50, 250, 10 if FULL else 50):
            life.goes_on()
            only.begin(f"{at} {BATCH}")
            died += [at] if only.ended() else []
    until(lambda: other_connections(store.engine) == 0, "who died is still connected")
    assert len(died) > 5
    check(store, life)
    log.info(f"died before statements {died}; {len(life.strong)} strong memories")


@pytest.mark.parametrize("number", [1, 2])
def test_whoever_kills_those_who_look_at_random_moments_loses_and_doubles_nothing(
    store: Store, postgres_url: str, tmp_path: Path, number: int
) -> None:
    life, random = Life(store), Random(number)
    kills, midway, tries = 0, 0, 0
    with forks(tmp_path, postgres_url, number) as several:
        longest_s = _duration(several[0], life)
        while kills < KILLS or not midway:
            tries += 1
            assert tries < 10 * KILLS, "no kill came between two transactions of a look"
            life.goes_on()
            before = _read(store)
            pids = [one.begin(f"0 {BATCH}") for one in several]
            if tries % 2:
                # Somewhere in its batches; otherwise anywhere, from its first connection on.
                until(partial(_has_moved, store, before), "nobody reads on")
            time.sleep(
                random.uniform(0, longest_s / (1 + 9 * (tries % 2)))
            )  # not a wait for anything: the moment of the kill
            for one, pid in zip(several, pids, strict=True):
                kills += one.killed(pid)
                time.sleep(random.uniform(0, longest_s) if random.random() < 0.5 else 0)  # the other goes on meanwhile
            midway += before < _read(store) < events_of(store, MEMORY_CREATED, USER_STATED)
            if random.random() < 0.5:
                claim_requests(store, "run", 5)
    until(lambda: other_connections(store.engine) == 0, "who was killed is still connected")
    check(store, life)
    requests = len(requests_of(store, EAGER.name))
    log.info(
        f"{kills} kills of {number} at a time, {midway} of them between two transactions of a look; "
        f"{len(life.strong)} strong memories in {requests} requests"
    )


def _has_moved(store: Store, before: int) -> bool:
    return _read(store) > before


def _read(store: Store) -> int:
    with store.read() as connection:
        return position(connection, READER)


def _duration(one: Forks, life: Life) -> float:
    """Return how long an undisturbed look takes, with its process's start and end."""
    life.goes_on()
    began = time.monotonic()
    one.begin(f"0 {BATCH}")
    assert one.ended() == 0
    return time.monotonic() - began
