"""A night of many people, all due at one instant: time, memory and runs on both databases.

    python -m bench.night [--people 10000] [--database sqlite|postgresql] [--baseline 10]

The baseline is what the design replaces: one run of the job per person, measured here for a few people.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from bench.fleet import NOW, fleet_lines
from selo_dagster.store.engine import normalised_url
from tests.support.postgres import temporary_postgres

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--baseline", type=int, default=10, help="people served by a run each")
    given = parser.parse_args()
    for database in given.database or ("sqlite", "postgresql"):
        with environment(database) as environ:
            report(database, given.people, given.baseline, environ)


@contextmanager
def environment(database: str) -> Iterator[dict[str, str]]:
    """Yield the environment of an installation of its own; on PostgreSQL, Dagster's records are there too."""
    with tempfile.TemporaryDirectory(prefix="selo-bench-", ignore_cleanup_errors=True) as folder:
        environ = {**os.environ, "SELO_HOME": folder, "DAGSTER_HOME": f"{folder}/dagster"}
        if database == "sqlite":
            yield environ
            return
        with temporary_postgres(durable=True) as server:
            for name in ("selo", "dagster"):
                engine = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
                with engine.connect() as connection:
                    connection.execute(text(f"CREATE DATABASE {name}"))
                engine.dispose()
            (Path(folder) / "dagster").mkdir()
            instance = (ROOT / "deploy" / "dagster.yaml").read_text(encoding="utf-8")
            (Path(folder) / "dagster" / "dagster.yaml").write_text(instance, encoding="utf-8")
            dagster_url = f"{server}/dagster".replace("postgresql://", "postgresql+psycopg2://")
            yield {**environ, "DATABASE_URL": f"{server}/selo", "DAGSTER_POSTGRES_URL": dagster_url}


def report(database: str, people: int, baseline: int, environ: dict[str, str]) -> None:
    """Measure one database and print a paragraph."""
    selo(environ, "db", "upgrade")
    lines = "".join(fleet_lines(people))
    started = time.perf_counter()
    selo(environ, "ingest", "-", given=lines)
    ingested = time.perf_counter() - started
    per_run = measure_baseline(environ, baseline)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    started = time.perf_counter()
    dailies, memory = measured(environ, "reflect", "daily")
    wall = time.perf_counter() - started
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    left = people - baseline
    assert dailies["counts"]["done"] == left, dailies["counts"]
    started = time.perf_counter()
    night, peak = measured(environ, "night")
    rest = time.perf_counter() - started
    done = {kind: counts["done"] for kind, counts in night["kinds"].items() if counts["done"]}
    assert done["mantra"] == people, done
    print(f"\n{database}: {left} people due at one instant, extractive model")
    print(f"  ingest      {lines.count(chr(10))} lines in {ingested:.1f} s")
    print(f"  dailies     {wall:.1f} s wall, {cpu:.1f} s CPU, {memory:.0f} MiB at most")
    print(f"  the rest    {rest:.1f} s wall, {night['runs']} runs, {peak:.0f} MiB at most: {done}")
    for saga, states in sorted(night["sagas"].items()):
        print(f"  {saga:<18} {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}")
    print(f"  per person  {1000 * wall / left:.2f} ms wall, {1000 * cpu / left:.2f} ms CPU")
    print(f"  baseline    {1000 * per_run:.0f} ms a person with a run each ({baseline} measured)")
    print(f"  ratio       {per_run * left / wall:.0f} x faster than a run each")


def measured(environ: dict[str, str], *arguments: str) -> tuple[dict[str, Any], float]:
    """Run a selo command; returns its JSON and the peak of its resident memory in MiB."""
    command = [sys.executable, "-m", "selo_dagster", *arguments, "--now", NOW.isoformat(), "--json"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"selo {arguments[0]} ended with status {status}: {printed[-500:]}")
    document: dict[str, Any] = json.loads(printed)
    return document, usage.ru_maxrss / 1024


def measure_baseline(environ: dict[str, str], people: int) -> float:
    """Serve a few people with one run of the job each, in one warm process; returns seconds a person."""
    code = (
        "import sys, time, dagster as dg\n"
        "from selo_dagster.definitions import defs\n"
        "job = defs.get_job_def('daily_reflections')\n"
        "keys = sys.argv[2:]\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    instance.add_dynamic_partitions('users', keys)\n"
        "    config = {'ops': {'reflect_daily': {'config': {'now': sys.argv[1]}}},\n"
        "              'loggers': {'console': {'config': {'log_level': 'ERROR'}}}}\n"
        "    started = time.perf_counter()\n"
        "    for key in keys:\n"
        "        assert job.execute_in_process(instance=instance, partition_key=key, run_config=config).success\n"
        "    print((time.perf_counter() - started) / len(keys))\n"
    )
    keys = [f"u{number:06}" for number in range(people)]
    Path(environ["DAGSTER_HOME"]).mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", code, NOW.isoformat(), *keys],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return float(done.stdout.strip().splitlines()[-1])


def selo(environ: dict[str, str], *arguments: str, given: str | None = None) -> None:
    """Run a selo command; ends the benchmark when it fails."""
    subprocess.run(
        [sys.executable, "-m", "selo_dagster", *arguments],
        env=environ,
        input=given,
        text=True,
        check=True,
        capture_output=True,
        cwd=ROOT,
    )


if __name__ == "__main__":
    main()
