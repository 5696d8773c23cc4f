"""The engine itself, on PostgreSQL: cost above the model call, use of a server's slots, the due scan, loading.

    python -m bench.engine [--people 2000] [--scan 100000] [--slots 64] [--latency 2]

Baselines, measured in the same run: the empty transaction of the same database for the cost of a person, the slots'
own arithmetic for their use, `import dagster` for loading.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

from sqlalchemy import create_engine, insert, text

from bench.fleet import NOW, fleet_lines
from selo_dagster.clock import BEGINNING, FixedClock
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.memory.ingest import ingest
from selo_dagster.people.tables import user_statements, users
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflection_days
from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import upgrade
from tests.support.fakes import FakeModel, good_answer, run_cohort
from tests.support.postgres import temporary_postgres


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--scan", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--latency", type=float, default=2.0)
    given = parser.parse_args()
    with temporary_postgres(durable=True) as server:
        with database(server, "cost") as store:
            cost(store, given.people)
        with database(server, "slots") as store:
            slots(store, given.slots, given.latency)
        with database(server, "scan") as store:
            scan(store, given.scan)
    loading()


@contextmanager
def database(server: str, name: str) -> Iterator[Store]:
    """Yield a migrated database of its own."""
    engine = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    store = Store(f"{server}/{name}")
    upgrade(store)
    yield store
    store.close()


def answering_after(seconds: float) -> Callable[[CompletionRequest], Awaitable[str]]:
    """Return a model's behaviour: a good answer after a while."""

    async def answering(request: CompletionRequest) -> str:
        if seconds:
            await asyncio.sleep(seconds)
        return good_answer(request)

    return answering


def cost(store: Store, people: int) -> None:
    """Measure what a person costs above a model that answers at once."""
    ingest(store, BytesIO("".join(fleet_lines(people)).encode()))
    enrol(store, DAILY, NOW, 3)
    started = time.perf_counter()
    for _ in range(200):
        with store.write() as connection:
            connection.execute(text("UPDATE users SET moves = moves WHERE id = 'u000000'"))
    commit = (time.perf_counter() - started) / 200
    started, cpu = time.perf_counter(), time.process_time()
    settled = run_cohort(store, FakeModel(), clock=FixedClock(NOW), concurrency=8, chunk=50)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert len(settled) == people
    print(f"cost        {1000 * wall / people:.2f} ms a person ({1000 * cpu / people:.2f} ms CPU), model at once")
    print(f"  baseline  {1000 * commit:.2f} ms for one transaction of one row; ratio {wall / people / commit:.1f}")


def slots(store: Store, number: int, latency: float) -> None:
    """Measure how well a cohort keeps a slow server's slots busy."""
    people = number * 8
    ingest(store, BytesIO("".join(fleet_lines(people)).encode()))
    enrol(store, DAILY, NOW, 3)
    started = time.perf_counter()
    settled = run_cohort(
        store, FakeModel(answering_after(latency)), clock=FixedClock(NOW), concurrency=number, chunk=50
    )
    wall = time.perf_counter() - started
    assert len(settled) == people
    best = people / number * latency
    print(f"slots       {number} x {latency:g} s, {people} people: {wall:.1f} s; use {100 * best / wall:.1f} %")
    print(f"  baseline  {best:.1f} s if no slot were ever idle; ratio {best / wall:.3f}")


def scan(store: Store, people: int) -> None:
    """Measure who-is-due over a fleet of which one in a hundred has a day that ended."""
    names = [f"u{number:06}" for number in range(people)]
    with store.write() as connection:
        for start in range(0, people, 5_000):
            part = names[start : start + 5_000]
            connection.execute(insert(users), [{"id": n, "key": n, "name": n, "zone": "Asia/Tokyo"} for n in part])
            connection.execute(
                insert(user_statements),
                [{"user_id": n, "since": BEGINNING, "name": n, "zone": "Asia/Tokyo"} for n in part],
            )
            today = NOW.date()
            connection.execute(insert(reflection_days), [{"user_id": n, "on": today} for n in part])
            ended = [{"user_id": n, "on": today.replace(day=22)} for n in part[::100]]
            connection.execute(insert(reflection_days), ended)
    from selo_dagster.reflections.days import fold_stream

    folding = time.perf_counter()
    folded = fold_stream(store)
    folding = time.perf_counter() - folding
    with store.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
    started = time.perf_counter()
    found = enrol(store, DAILY, NOW, 3)
    first = time.perf_counter() - started
    started = time.perf_counter()
    enrol(store, DAILY, NOW, 3)
    again = time.perf_counter() - started
    print(f"due scan    {people} people, {found.due} newly due: {first:.3f} s; nothing new: {again:.3f} s")
    print(f"  events    {folded} folded before, {folded / folding:.0f} a second")


def loading() -> None:
    """Measure loading the code location against importing Dagster alone."""

    def best(code: str) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - started)
        return sorted(times)[2]

    alone = best("import dagster")
    loaded = best("import selo_dagster.definitions")
    print(f"loading     {loaded:.2f} s; baseline `import dagster` {alone:.2f} s; ratio {loaded / alone:.2f}")


if __name__ == "__main__":
    main()
