"""Housekeeping on a database of many nights: what goes, how fast, and who waits meanwhile.

    python -m bench.housekeeping [--people 1000] [--nights 100] [--runs 200] [--database sqlite|postgresql]

The retentions are short, so that most of what may go at all goes in the first round; the second round is what one more
night costs. While it works, another thread does what a night does: it claims rows, and counts how a kind is doing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Connection, Table, event, func, insert, select, text

from bench.engine import database
from bench.fleet import NOW
from selo_dagster.memory.stream import number_committed, position, set_position
from selo_dagster.memory.tables import events
from selo_dagster.operations.housekeeping.dagster_runs import prune_runs
from selo_dagster.operations.housekeeping.groups import READERS
from selo_dagster.operations.housekeeping.round import Round, keep_house
from selo_dagster.operations.kind_status import kind_status
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import claim, release
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.tables import reflection_attempts, reflection_ledger, reflections
from selo_dagster.sagas.tables import saga_definitions, saga_steps, sagas
from selo_dagster.settings import load_settings
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade
from tests.support.postgres import temporary_postgres

ROWS = 5_000
KINDS = ("daily", "mantra", "relationship_questions", "adaptive", "triggered")
SETTINGS = load_settings(
    {
        "SELO_EVENT_KEEP_DAYS": "30",
        "SELO_ATTEMPT_KEEP_DAYS": "30",
        "SELO_LEDGER_KEEP_DAYS": "90",
        "SELO_SAGA_KEEP_DAYS": "30",
    }
)
TOLD = "I think of what they said about their sister, and of how the day went on from there. " * 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given = parser.parse_args()
    for dialect in given.database or ("sqlite", "postgresql"):
        with stores(dialect) as (store, instance):
            measure(dialect, store, given.people, given.nights)
            measure_runs(dialect, instance, given.runs)


@contextmanager
def stores(dialect: str) -> Iterator[tuple[Store, dg.DagsterInstance]]:
    """Yield a migrated database and a Dagster instance; PostgreSQL writes to disk as it would in production."""
    quiet: dict[str, Any] = {"telemetry": {"enabled": False}}
    with ExitStack() as stack:
        if dialect == "postgresql":
            server = stack.enter_context(temporary_postgres(durable=True))
            store = stack.enter_context(database(server, "nights"))
            stack.enter_context(database(server, "dagster_records"))
            address = store.url.set(database="dagster_records").render_as_string(hide_password=False)
            quiet["storage"] = {"postgres": {"postgres_url": address}}
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="selo-bench-"))
            store = Store(f"sqlite:///{folder}/nights.db")
            upgrade(store)
            stack.callback(store.close)
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="selo-bench-"))
        yield store, stack.enter_context(dg.DagsterInstance.local_temp(home, overrides=quiet))


def fill(store: Store, people: int, nights: int) -> None:
    """Write so many nights: five obligations a person and night with an attempt each, a reflection, a saga, events."""
    names = [f"u{number:06}" for number in range(people)]
    with store.write() as connection:
        connection.execute(insert(users), [{"id": one, "key": one, "name": one, "zone": "UTC"} for one in names])
        connection.execute(
            insert(saga_definitions).values(
                type="goal_creation", version=1, fingerprint="f", document={"undo_days": 30}
            )
        )
    for back in range(nights, 0, -1):
        at = NOW - timedelta(days=back)
        for start in range(0, people, ROWS):
            _night(store, names[start : start + ROWS], at)
    with store.write() as connection:
        due = [_obligation(one, "daily", NOW, "due") for one in names]
        connection.execute(insert(reflection_ledger), due)
    with store.write() as connection:
        while number_committed(connection, 100_000):
            pass
        for reader in READERS:
            set_position(connection, reader, position(connection, "numbering"))


def _night(store: Store, names: list[str], at: datetime) -> None:
    with store.write() as connection:
        for kind in KINDS:
            connection.execute(insert(reflection_ledger), [_obligation(one, kind, at, "done") for one in names])
        made = select(reflection_ledger.c.id, reflection_ledger.c.on).where(reflection_ledger.c.on == at.date())
        numbers = [row.id for row in connection.execute(made)]
        attempt = {"epoch": 1, "number": 1, "run_id": f"{at:%Y%m%d}", "started_at": at, "ended_at": at}
        attempt |= {"outcome": "done", "input_hash": "0" * 64, "model_calls": 1}
        connection.execute(insert(reflection_attempts), [attempt | {"ledger_id": one} for one in numbers])
        connection.execute(insert(reflections), [_reflection(one, at) for one in names])
        connection.execute(insert(sagas), [_saga(one, at) for one in names])
        steps = [{"saga_id": _saga_id(one, at), "generation": 1, "step": "plan"} for one in names]
        full = {"state": "done", "epoch": 1, "output": {"said": TOLD[:400]}, "undo": {"was": TOLD[:400]}, "done_at": at}
        connection.execute(insert(saga_steps), [one | full for one in steps])
        stream = [
            {"origin": "event", "ref": f"{one}-{at:%Y%m%d}-{number}", "type": "said", "user_id": one, "at": at}
            for one in names
            for number in range(6)
        ]
        connection.execute(insert(events), [one | {"payload": {"role": "user"}, "created_at": at} for one in stream])


def _obligation(user: str, kind: str, at: datetime, state: str) -> dict[str, Any]:
    done = state == "done"
    return {
        "user_id": user,
        "kind": kind,
        "on": at.date(),
        "key": at.date().isoformat(),
        "state": state,
        "since": at,
        "ready_at": None if done else at,
        "settled_at": at if done else None,
        "run_id": f"{at:%Y%m%d}",
        "reported_by": f"{at:%Y%m%d}" if done else None,
        "attempts": 1,
        "model_calls": 1,
        "input_tokens": 900,
        "output_tokens": 200,
        "seconds": 1.0,
    }


def _reflection(user: str, at: datetime) -> dict[str, Any]:
    return {
        "id": f"{user}-{at:%Y%m%d}",
        "user_id": user,
        "kind": "daily",
        "on": at.date(),
        "key": at.date().isoformat(),
        "version": 1,
        "content": TOLD,
        "themes": [],
        "insights": [],
        "actions": [],
        "emotional_state": {},
        "trait_changes": [],
        "model": "m",
        "zone": "UTC",
        "zone_rules": "r",
        "window_start": at,
        "window_end": at,
        "input_hash": "0" * 64,
        "created_at": at,
    }


def _saga_id(user: str, at: datetime) -> str:
    return f"s-{user}-{at:%Y%m%d}"


def _saga(user: str, at: datetime) -> dict[str, Any]:
    common = {
        "type": "goal_creation",
        "version": 1,
        "fingerprint": "f",
        "user_id": user,
        "input": {"title": TOLD[:200]},
    }
    times = {"created_at": at, "deadline_at": at, "ended_at": at}
    return (
        {"id": _saga_id(user, at), "key": f"{at:%Y%m%d}", "state": "completed", "direction": "forward"} | common | times
    )


@dataclass
class Timed:
    """How long the transactions of a store that write take, in seconds."""

    store: Store
    longest: float = 0.0
    _begun: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listen."""
        event.listen(self.store.engine, "begin", self._begin)
        event.listen(self.store.engine, "commit", self._commit)

    def _begin(self, connection: Connection) -> None:
        self._begun[id(connection)] = time.perf_counter()

    def _commit(self, connection: Connection) -> None:
        options = connection.get_execution_options()
        if not (options.get("selo_read_only") or options.get("postgresql_readonly")):
            self.longest = max(self.longest, time.perf_counter() - self._begun[id(connection)])


class Night(threading.Thread):
    """Claims fifty rows and gives them back, and asks how the dailies are doing, until it is told to stop."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = Store(store.url.render_as_string(hide_password=False))
        self.over = threading.Event()
        self.claims: list[float] = []
        self.looks: list[float] = []

    def run(self) -> None:
        """Do so."""
        while not self.over.is_set():
            began = time.perf_counter()
            with self._store.write() as connection:
                held = claim(connection, DAILY, run_id="bench", now=NOW, lease_s=60.0, limit=50)
                release(connection, held)
            self.claims.append(time.perf_counter() - began)
            began = time.perf_counter()
            with self._store.read() as connection:
                kind_status(connection, "daily", NOW)
            self.looks.append(time.perf_counter() - began)
            self.over.wait(0.05)
        self._store.close()

    def told(self) -> str:
        """Say how long that took."""
        return ", ".join(
            f"{name} p50 {statistics.median(some) * 1000:.0f} ms, longest {max(some) * 1000:.0f} ms ({len(some)} times)"
            for name, some in (("claim", self.claims), ("status of a kind", self.looks))
        )


@contextmanager
def a_night(store: Store, label: str) -> Iterator[None]:
    """Let a night go on meanwhile, and say how it did."""
    night = Night(store)
    night.start()
    try:
        yield
    finally:
        night.over.set()
        night.join()
        print(f"  {label}: {night.told()}")


def size_of(store: Store) -> float:
    """Return the size of the database in MiB."""
    if store.dialect == "postgresql":
        with store.read() as connection:
            return float(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()) / 2**20
    path = Path(str(store.url.database))
    return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) / 2**20


def compact(store: Store) -> None:
    """Give the space back to the disk: what an operator may do, and need not."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if store.dialect == "sqlite":
            connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("VACUUM FULL" if store.dialect == "postgresql" else "VACUUM")
        if store.dialect == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def counted(store: Store, table: Table) -> int:
    """Return the number of rows."""
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def measure(dialect: str, store: Store, people: int, nights: int) -> None:
    """Fill, clean twice, and print."""
    began = time.perf_counter()
    fill(store, people, nights)
    if dialect == "postgresql":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    print(f"{dialect}: {people} people, {nights} nights, filled in {time.perf_counter() - began:.0f} s")
    with a_night(store, "nobody cleans"):
        time.sleep(5)
    before = size_of(store)
    timed = Timed(store)
    for label, now in (("first round", NOW), ("one night later", NOW + timedelta(days=1))):
        timed.longest = 0.0
        began = time.perf_counter()
        announced = keep_house(store, now, SETTINGS, dry_run=True)
        dry = time.perf_counter() - began
        with a_night(store, "meanwhile"):
            began = time.perf_counter()
            found = keep_house(store, now, SETTINGS)
            seconds = time.perf_counter() - began
        if [one.rows for one in found.done] != [one.rows for one in announced.done]:
            raise SystemExit(f"the dry run said something else: {announced} {found}")
        report(store, label, found, seconds, dry, timed.longest)
    after = size_of(store)
    began = time.perf_counter()
    compact(store)
    took = time.perf_counter() - began
    print(
        f"  size: {before:.0f} MiB, {after:.0f} afterwards, {size_of(store):.0f} after VACUUM, which took {took:.1f} s"
    )


def report(store: Store, label: str, found: Round, seconds: float, dry: float, longest: float) -> None:
    """Print one round."""
    total = sum(one.rows for one in found.done)
    print(
        f"  {label}: {total} rows in {seconds:.1f} s ({total / seconds:.0f} a second), dry run {dry:.2f} s, "
        f"longest transaction {longest * 1000:.0f} ms"
    )
    for one in found.done:
        if one.rows:
            print(f"    {one.table}: {one.rows}, left {counted(store, metadata.tables[one.table])}")


@dg.op(out=dg.Out(dg.Nothing), config_schema=[str])
def show(context) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - Dagster reads annotations as objects
    """Show people as done."""
    for one in context.op_config:
        context.log_event(dg.AssetMaterialization("daily_reflection", partition=one))


@dg.job(executor_def=dg.in_process_executor, tags={"selo/kind": "daily"})
def cohort() -> None:
    """One op."""
    show()


def measure_runs(dialect: str, instance: dg.DagsterInstance, runs: int) -> None:
    """Make runs of twenty people each, the last of which all else is older than, and delete what may go."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    began = time.perf_counter()
    for number in range(runs):
        # Ten cohorts; in the first round one more person, of whom nothing comes afterwards.
        people = [f"u{number % 10}-{one}" for one in range(20)] + ([f"gone-{number}"] if number < 10 else [])
        cohort.execute_in_process(instance=instance, run_config={"ops": {"show": {"config": people}}, **quiet})
    print(f"  Dagster on {dialect}: {runs} runs of 20 materialisations made in {time.perf_counter() - began:.0f} s")
    home = sum(one.stat().st_size for one in Path(instance.root_directory).rglob("*") if one.is_file()) / 2**20
    print(f"    {home:.0f} MiB in Dagster's home")
    later = datetime.now(NOW.tzinfo) + timedelta(days=61)
    for label in ("first round", "again"):
        began = time.perf_counter()
        found = prune_runs(instance, later, 60, 180)
        seconds = time.perf_counter() - began
        size = sum(one.stat().st_size for one in Path(instance.root_directory).rglob("*") if one.is_file()) / 2**20
        print(
            f"    {label}: {found.deleted} runs gone in {seconds:.1f} s, {found.holding} kept for a status, "
            f"{size:.0f} MiB in Dagster's home"
        )


if __name__ == "__main__":
    main()
