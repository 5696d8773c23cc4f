"""Events through the rules, on both databases: how many a second, what comes of them, how much memory it takes.

    python -m bench.triggers [--events 100000] [--people 5000] [--database sqlite|postgresql]

The baseline, measured in the same run, is numbering and reading the same events without any rule.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import func, insert, select, text

from bench.engine import database
from bench.fleet import NOW
from selo_dagster.clock import BEGINNING
from selo_dagster.memory.stream import lock_stream, number_committed, read_after
from selo_dagster.memory.tables import memories
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.days import fold_stream
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade
from selo_dagster.triggers.catalogue import catalogue
from selo_dagster.triggers.reader import Looked, look_for_triggers
from tests.support.postgres import temporary_postgres

ROWS = 5_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given = parser.parse_args()
    for dialect in given.database or ("sqlite", "postgresql"):
        with stores(dialect) as (small, large):
            warm = measured(small, given.events // 10, given.people)
            report(dialect, large, given.events, given.people, warm[1])


@contextmanager
def stores(dialect: str) -> Iterator[tuple[Store, Store]]:
    """Yield two migrated databases of their own; PostgreSQL writes to disk as it would in production."""
    with ExitStack() as stack:
        if dialect == "postgresql":
            server = stack.enter_context(temporary_postgres(durable=True))
            yield stack.enter_context(database(server, "small")), stack.enter_context(database(server, "large"))
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="selo-bench-")))
        both = [Store(f"sqlite:///{folder / name}.db") for name in ("small", "large")]
        for store in both:
            upgrade(store)
            stack.callback(store.close)
        yield both[0], both[1]


def fill(store: Store, events: int, people: int) -> None:
    """Add people, and memories that were just made: one in ten weighs enough to be reflected on at once."""
    names = [f"u{number:06}" for number in range(people)]
    random = Random(1)  # noqa: S311 - the same events each time
    with store.write() as connection:
        for start in range(0, people, ROWS):
            part = names[start : start + ROWS]
            connection.execute(insert(users), [{"id": n, "key": n, "name": n, "zone": "UTC"} for n in part])
            connection.execute(
                insert(user_statements), [{"user_id": n, "since": BEGINNING, "name": n, "zone": "UTC"} for n in part]
            )
    for start in range(0, events, ROWS):
        rows = [
            {
                "id": f"m{number}",
                "user_id": random.choice(names),
                "kind": "fact",
                "content": "Something happened.",
                "importance": round(random.random() * 8 / 9, 3) if random.random() > 0.1 else 0.9,
                "at": NOW - timedelta(seconds=random.randrange(1_800)),
                "tags": [],
            }
            for number in range(start, min(events, start + ROWS))
        ]
        with store.write() as connection:
            connection.execute(insert(memories), rows)
    with store.write() as connection:
        connection.execute(text("UPDATE events SET created_at = at"))


def measured(store: Store, events: int, people: int) -> tuple[Looked, float, float]:
    """Let the rules see events; returns what they found, the peak of resident memory in MiB, and seconds."""
    fill(store, events, people)
    started = time.perf_counter()
    fold_stream(store)
    folded = time.perf_counter() - started
    started = time.perf_counter()
    looked = look_for_triggers(store, catalogue(), NOW, catchup_days=3)
    seconds = time.perf_counter() - started
    print(
        f"  {events:>7} events: days and cadences {events / folded:.0f} a second, rules {events / seconds:.0f} a second"
    )
    return looked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds


def report(dialect: str, store: Store, events: int, people: int, before: float) -> None:
    """Measure one database and print a paragraph."""
    looked, peak, seconds = measured(store, events, people)
    plain = baseline(store, events)
    with store.read() as connection:
        rows = connection.execute(select(func.count()).select_from(reflection_ledger)).scalar_one()
    found = looked.by_outcome()
    rules = len([rule for rule in catalogue().rules.values() if "memory_created" in rule.watched])
    assert sum(found.values()) == events * rules, found
    assert rows == found["accepted"], (rows, found)
    print(f"{dialect}: {events} memories of {people} people through {rules} rules that have to see each")
    print(f"  outcomes    {found}; {rows} requests")
    print(f"  rules       {seconds:.2f} s, {events / seconds:.0f} events a second")
    print(f"  baseline    {plain:.2f} s to number and read them; ratio {seconds / plain:.1f}")
    print(f"  memory      {before:.0f} MiB at most with a tenth of the events, {peak:.0f} MiB with all")


def baseline(store: Store, events: int) -> float:
    """Number and read as many events without any rule; returns seconds."""
    with store.write() as connection:
        connection.execute(text("UPDATE events SET seq = NULL"))
        connection.execute(text("UPDATE stream_positions SET seq = 0"))
    started = time.perf_counter()
    place = read = 0
    while True:
        with store.write() as connection:
            lock_stream(connection)
            number_committed(connection, 2_000)
            found = read_after(connection, place, 2_000)
        if not found:
            break
        place, read = found[-1].seq, read + len(found)
    assert read >= events
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
