"""The HTTP application under many probes beside a night: latencies, errors, and what it costs the night.

    python -m bench.probes [--people 6000] [--rate 500] [--nights 3] [--window 3] [--database sqlite|postgresql]

While a fleet's dailies are made, windows of three forms follow each other in random order: without a single request,
beside requests for /livez, which computes nothing and reads no database, and beside those for /readyz and /metrics.
In each window the night's CPU seconds are held against the work that was done in it, and then against those of the
other two forms in the same block. Work is people settled and events stored, which lag behind them; what each of the two
costs is fitted to the windows without a request. These are the baseline; the second form tells apart what sending and
serving so many requests costs on the processors that the night shares with them. `selo up` runs meanwhile, with
nothing to do of its own, so that one command does all the work. Requests are sent at fixed times, whether or not
earlier ones were answered; a latency counts from when a request was due.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from statistics import quantiles

import psutil
from dagster import AssetKey
from sqlalchemy import create_engine, func, select, text

from bench.fleet import fleet_lines
from bench.load import Answers, Load
from bench.night import ROOT, environment, selo
from selo_dagster.clock import SystemClock
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import DONE
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store

NOTHING: tuple[str, ...] = ()
CONTROL = ("/livez",)
PROBES = ("/readyz", "/metrics")
FORMS = (NOTHING, CONTROL, PROBES)
PORT = 38_471
START_LIMIT_S = 240.0
LET_SETTLE_S = 0.3
LEAST_BLOCKS = 4
TOO_FEW = f"a comparison needs {LEAST_BLOCKS} blocks in which each window saw work: give more --people or --nights"


@dataclass(frozen=True)
class Window:
    """What a night did in a few seconds, and the CPU seconds that it took."""

    cpu_s: float
    people: int
    events: int


Block = dict[tuple[str, ...], Window]
"""Windows that followed each other, by their form."""


class Ledgers:
    """Where a night's work can be counted: our ledger, and Dagster's event log."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._ours = Store(load_settings(environ).store_url)
        kept = f"sqlite:///{environ['DAGSTER_HOME']}/history/runs/index.db"
        self._dagster = create_engine(environ.get("DAGSTER_POSTGRES_URL", kept))

    def close(self) -> None:
        """Give back every connection."""
        self._ours.close()
        self._dagster.dispose()

    def people(self) -> int:
        """Return how many dailies are done."""
        done = select(func.count()).where(reflection_ledger.c.kind == "daily", reflection_ledger.c.state == DONE)
        with self._ours.read() as connection:
            return int(connection.execute(done).scalar_one())

    def events(self) -> int:
        """Return how many events Dagster has stored of dailies."""
        stored = text("SELECT count(*) FROM event_logs WHERE asset_key = :key")
        with self._dagster.connect() as connection:
            return int(connection.execute(stored, {"key": AssetKey("daily_reflection").to_string()}).scalar_one())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=6_000)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--window", type=float, default=3.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given = parser.parse_args()
    random = Random(given.seed)  # noqa: S311 - the order of windows
    for database in given.database or ("sqlite", "postgresql"):
        print(f"\n{database}: {given.nights} nights of {given.people} people", flush=True)
        answers = {form: Answers() for form in FORMS}
        blocks: list[Block] = []
        for _ in range(given.nights):
            now = tomorrow()
            with installation(database, given.people, now) as environ:
                found = list(measured(environ, now, given.rate, given.window, answers, random))
            blocks += found
            print(f"  a night of {len(found)} blocks", flush=True)
        if len(blocks) < LEAST_BLOCKS:
            raise SystemExit(TOO_FEW)
        for form in (CONTROL, PROBES):
            report(form, answers[form])
        compare(blocks)


@contextmanager
def installation(database: str, people: int, now: datetime) -> Iterator[dict[str, str]]:
    """Yield the environment of a running installation whose people will all be due by `now`, a day ahead."""
    with environment(database) as environ:
        # Nothing is left to the daemons: only the night has come to tomorrow, other kinds are held back, and a daily
        # asks for no saga.
        environ |= {"SELO_GOALS_FROM_REFLECTIONS": "0", "SELO_PERSONA_PATH": "direct"}
        selo(environ, "db", "upgrade")
        for kind in KINDS:
            if kind != "daily":
                selo(environ, "pause", kind, "--because", "only the dailies are measured")
        selo(environ, "ingest", "-", given="".join(fleet_lines(people, now=now)))
        server = subprocess.Popen(
            [sys.executable, "-m", "selo_dagster", "up", "--port", str(PORT + 1), "--http-port", str(PORT)],
            env=environ,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Each answer has been computed once, as where a monitor has been asking for a while.
            wait_until(lambda: all(asked(path) for path in PROBES))
            yield environ
        finally:
            server.terminate()
            server.wait()


def measured(
    environ: dict[str, str],
    now: datetime,
    rate: float,
    window_s: float,
    answers: dict[tuple[str, ...], Answers],
    random: Random,
) -> Iterator[Block]:
    """Make everybody's dailies; yields the blocks of windows that came to their end meanwhile."""
    ledgers = Ledgers(environ)
    night = psutil.Popen(
        [sys.executable, "-m", "selo_dagster", "reflect", "daily", "--now", now.isoformat(), "--json"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        with Load(PORT, rate) as load:
            wait_until(lambda: ledgers.people() > 0)
            while night.poll() is None:
                block: Block = {}
                for form in random.sample(FORMS, len(FORMS)):
                    if form:
                        load.begin(form, answers[form])
                    time.sleep(LET_SETTLE_S)
                    before = used(night), ledgers.people(), ledgers.events()
                    time.sleep(window_s)
                    cpu_s, people, events = used(night), ledgers.people(), ledgers.events()
                    block[form] = Window(cpu_s - before[0], people - before[1], events - before[2])
                    if form:
                        load.end()
                if night.poll() is None:
                    yield block
    finally:
        if night.wait():
            raise SystemExit(f"the night ended with status {night.returncode}")
        ledgers.close()


def used(night: psutil.Popen) -> float:
    """Return the CPU seconds of a process, and of the children that it waited for; 0 once it has ended."""
    try:
        return sum(night.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0


def asked(path: str) -> bytes | None:
    """Return a good answer, else None."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def tomorrow() -> datetime:
    """Return the next day's noon."""
    return SystemClock().now().replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.perf_counter() + START_LIMIT_S
    while not holds():
        if time.perf_counter() > end:
            raise SystemExit(f"not ready: /livez says {asked('/livez')!r}")
        time.sleep(0.5)


def report(form: tuple[str, ...], answers: Answers) -> None:
    """Print what the requests of one form came to."""
    told = ", ".join(f"p{int(100 * p)} {answers.percentile_ms(p):.1f} ms" for p in (0.5, 0.95, 0.99))
    print(f"  {' and '.join(form)}: {dict(sorted(answers.statuses.items()))}")
    print(f"    {told}, longest {1000 * max(answers.latencies_s):.0f} ms")
    for reason, times in answers.reasons.most_common(10):
        print(f"    not well, {times} x {reason}")


def compare(blocks: list[Block]) -> None:
    """Print the night's CPU for what it did, and the ratios of the forms within each block."""
    person_s, event_s = fitted([one[NOTHING] for one in blocks])

    def work(one: Window) -> float:
        return person_s * one.people + event_s * one.events

    def cost(one: Window) -> float:
        return one.cpu_s / work(one)

    found = len(blocks)
    blocks = [one for one in blocks if all(work(window) > 0 for window in one.values())]
    print(
        f"  baseline, no request: {1000 * person_s:.2f} ms CPU a person and {1000 * event_s:.2f} ms a stored event; "
        f"{len(blocks)} blocks, {found - len(blocks)} left out in which a window saw no work"
    )
    if len(blocks) < LEAST_BLOCKS:
        raise SystemExit(TOO_FEW)
    for form, base in ((PROBES, NOTHING), (CONTROL, NOTHING), (PROBES, CONTROL)):
        ratios = [cost(one[form]) / cost(one[base]) for one in blocks]
        low, middle, high = quantiles(ratios, n=4)
        against = " and ".join(base) or "no request"
        print(
            f"  ratio, {' and '.join(form)} against {against}: {middle:.3f} x the night's CPU "
            f"(half of the blocks {low:.3f} to {high:.3f})",
            flush=True,
        )


def fitted(windows: list[Window]) -> tuple[float, float]:
    """Return the CPU seconds of a person and of an event that explain these windows best (least squares, none < 0)."""
    pp = sum(one.people * one.people for one in windows)
    pe = sum(one.people * one.events for one in windows)
    ee = sum(one.events * one.events for one in windows)
    pc = sum(one.people * one.cpu_s for one in windows)
    ec = sum(one.events * one.cpu_s for one in windows)
    both = pp * ee - pe * pe
    # Where events keep pace with people the two cannot be told apart.
    if both == 0:
        return (pc / pp, 0.0) if pp else (0.0, ec / ee)
    person_s, event_s = (pc * ee - ec * pe) / both, (ec * pp - pc * pe) / both
    if person_s < 0:
        return 0.0, ec / ee
    return (pc / pp, 0.0) if event_s < 0 else (person_s, event_s)


if __name__ == "__main__":
    main()
