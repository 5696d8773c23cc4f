"""Many writers that commit when they like, two readers at once, and a run that takes requests in hand meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, or_, select, text
from sqlalchemy.exc import IntegrityError

from selo_dagster.memory.event_types import EMOTIONAL_SPIKE, KNOWLEDGE_UPDATED, MEMORY_CREATED
from selo_dagster.memory.stream import position
from selo_dagster.memory.tables import events
from selo_dagster.reflections.claim import Claim
from selo_dagster.store.engine import Store
from selo_dagster.triggers.reader import READER
from tests.crash.processes import FULL, Worker
from tests.crash.stream import (
    EAGER,
    IMPORTANT,
    RULES,
    STRONG,
    WEAK,
    check_asked_once,
    check_numbers,
    claim_requests,
    events_of,
    look,
    refs_of,
    requests_of,
    seen_by,
    trigger_worker,
    write_events,
    write_memories,
    write_people,
)

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600 if FULL else 120)]

log = logging.getLogger(__name__)

WRITERS = 32
EVENTS = 22_000 if FULL else 1_500
"""Of which a tenth is rolled back."""

PEOPLE_A_WRITER = 16 if FULL else 4
"""Enough that nobody but LOUD has more strong memories than a request names."""

LONGEST_S = 0.05
"""How long a transaction waits at most before it commits."""

LOUD = "loud"
"""Somebody of whom every writer remembers much: more than a request names."""


@dataclass
class Written:
    """What was committed."""

    strong: set[str] = field(default_factory=set)
    loud: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    undone: int = 0


class Writers:
    """Threads with a connection each; a tenth of their transactions is rolled back."""

    def __init__(self, url: str) -> None:
        self.written = Written()
        self.failed: list[BaseException] = []
        self._store = Store(url, pool_size=WRITERS)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(WRITERS)]

    def begin(self) -> None:
        """Let them write."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Wait until each has written its share, and give back their connections."""
        for thread in self._threads:
            thread.join()
        self._store.close()

    @property
    def busy(self) -> bool:
        """Whether any is still writing."""
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, number: int) -> None:
        try:
            for place, size in enumerate(self._sizes(number)):
                self._transaction(number, place, size)
        except BaseException as failed:  # noqa: BLE001 - shown by the test
            self.failed.append(failed)

    @staticmethod
    def _sizes(number: int) -> Iterator[int]:
        random, left = Random(number), EVENTS // WRITERS
        while left > 0:
            size = min(left, random.randrange(1, 13))
            left -= size
            yield size

    def _transaction(self, number: int, place: int, size: int) -> None:
        random = Random(f"{number}/{place}")
        undone = random.random() < 0.1
        people = [f"w{number:02}-{one}" for one in range(PEOPLE_A_WRITER)]
        strong, loud = set(), set()
        remembered: list[tuple[str, str, float]] = []
        stated = []
        for one in range(size):
            ref = f"{'undone' if undone else 'kept'}-{number:02}-{place}-{one}"
            whose, what = random.choice(people), random.random()
            if what < 0.1:
                remembered.append((whose, ref, STRONG))
                strong.add(ref)
            elif what < 0.2:
                remembered.append((LOUD, ref, STRONG))
                loud.add(ref)
            elif what < 0.8:
                remembered.append((whose, ref, WEAK))
            elif what < 0.9:
                stated.append((whose, ref, EMOTIONAL_SPIKE, {"emotion": "joy", "intensity": 0.9}))
            else:
                stated.append((whose, ref, KNOWLEDGE_UPDATED, {"topic": "sea"}))
        with self._store.engine.connect() as connection:
            if not self.written.people.issuperset(people):
                # Somebody new, together with the first that is known of them.
                write_people(connection, people)
            if remembered:
                write_memories(connection, remembered)
            if stated:
                write_events(connection, stated)
            connection.execute(text("SELECT pg_sleep(:s)"), {"s": random.uniform(0, LONGEST_S)})
            if undone:
                connection.rollback()
            else:
                connection.commit()
        with self._lock:
            if undone:
                self.written.undone += 1
                return
            self.written.people |= set(people)
            self.written.strong |= strong
            self.written.loud |= loud


def test_every_event_of_many_writers_is_seen_once_and_every_strong_memory_asked_about_once(
    store: Store, postgres_url: str, tmp_path: Path
) -> None:
    with store.write() as connection:
        write_people(connection, [LOUD])
    claimed: dict[int, Claim] = {}
    writers = Writers(postgres_url)
    began = time.monotonic()
    with ExitStack() as stack:
        readers = [stack.enter_context(_reader(tmp_path, postgres_url, number)) for number in range(2)]
        for reader in readers:
            reader.go()
        writers.begin()
        while writers.busy or (_unread(store) and all(reader.process.poll() is None for reader in readers)):
            # As a run does that reflects meanwhile: what it has in hand must not grow any more.
            claimed |= {one.id: one for one in claim_requests(store, "run", 7)}
        writers.close()
        for reader in readers:
            assert reader.process.poll() is None, reader.errors.read_text()[-3000:]
            reader.go()
        seen = [reader.settled() for reader in readers]
    assert writers.failed == []
    seconds = time.monotonic() - began
    look(store)  # what the readers' looks left over: nothing

    number = check_numbers(store)
    assert sum(seen) == number
    assert min(seen) > 0, "one of them found nothing: they did not look at the same time"
    assert _committed_late(store) > 0, "the writers committed in the order in which they began"
    assert writers.written.undone > 0
    remembered = events_of(store, MEMORY_CREATED)
    assert seen_by(store, IMPORTANT) == seen_by(store, EAGER.name) == remembered
    assert seen_by(store, "emotional_spike") == events_of(store, EMOTIONAL_SPIKE)
    assert seen_by(store, "knowledge_update") == remembered + events_of(store, KNOWLEDGE_UPDATED)

    strong = writers.written.strong | writers.written.loud
    asked = {rule: check_asked_once(store, strong, rule) for rule in (IMPORTANT, EAGER.name)}
    _check_quiet_people(store, writers.written.strong)
    rows = {row.id: row for rule in RULES.rules for row in requests_of(store, rule)}
    assert {one.id: one.cause for one in claimed.values()} == {id_: rows[id_].cause for id_ in claimed}
    again_asked = asked[EAGER.name] - len({row.user_id for row in requests_of(store, EAGER.name)})
    assert again_asked > 0, "nobody's request was taken in hand before the next cause came"
    log.info(
        f"{number} events ({_committed_late(store)} committed after a later one was, {writers.written.undone} "
        f"transactions rolled back) of {WRITERS} writers in {seconds:.1f} s; readers saw {seen}; "
        f"{len(strong)} strong memories in {asked} requests, {len(claimed)} taken in hand meanwhile"
    )


@contextmanager
def _reader(folder: Path, url: str, number: int) -> Iterator[Worker]:
    own = folder / f"reader-{number}"
    own.mkdir()
    with trigger_worker(own, "keep", "--url", url, "--batch", "40") as one:
        yield one


def _unread(store: Store) -> int:
    with store.read() as connection:
        beyond = or_(events.c.seq.is_(None), events.c.seq > position(connection, READER))
        return int(connection.execute(select(func.count()).select_from(events).where(beyond)).scalar_one())


def _committed_late(store: Store) -> int:
    """Return how many events were numbered after one that was written later."""
    with store.read() as connection:
        ids = list(connection.execute(select(events.c.id).order_by(events.c.seq)).scalars())
    highest, late = 0, 0
    for one in ids:
        late += one < highest
        highest = max(highest, one)
    return late


def _check_quiet_people(store: Store, strong: set[str]) -> None:
    """Of whom little is known, each strong memory is named by its request, not only counted."""
    for rule in (IMPORTANT, EAGER.name):
        rows = [row for row in requests_of(store, rule) if row.user_id != LOUD]
        assert sorted(ref for row in rows for ref in refs_of(row.cause)) == sorted(strong)


def test_a_strong_memory_of_somebody_new_that_comes_between_two_batches_of_a_look_is_asked_about(
    store: Store,
) -> None:
    with store.write() as connection:
        write_people(connection, ["ana", "ben"])
        write_memories(connection, [("ana", "a", STRONG)])

    def ben_comes_after_the_first_batch() -> float:
        with store.read() as connection:
            first_is_done = position(connection, READER) == 2
        if first_is_done:
            with suppress(IntegrityError), store.write() as connection:
                write_memories(connection, [("ben", "b", STRONG)])
        return 0.0

    look(store, batch=2, monotonic=ben_comes_after_the_first_batch)
    look(store)
    check_numbers(store)
    assert check_asked_once(store, {"a", "b"}, IMPORTANT) == 2
