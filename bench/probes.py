"""The HTTP application under many probes beside a night: latencies, errors, and what it costs the night.

    python -m bench.probes [--people 10000] [--rate 500] [--nights 3] [--window 3] [--database sqlite|postgresql]

While a fleet's dailies are made, windows of three forms follow each other in random order: without a single request,
beside requests for /livez, which computes nothing and reads no database, and beside those for /readyz and /metrics.
In each window the night's CPU seconds for one person are measured, and compared with those of the other two forms in
the same block. The first form is the baseline; the second tells apart what sending and serving so many requests costs
on the processors that the night shares with them. `selo up` runs meanwhile, with the resource guard holding its own
runs back, so that one command does all the work. Requests are sent at fixed times, whether or not earlier ones were
answered; a latency counts from when a request was due.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from statistics import median, quantiles

import psutil
from sqlalchemy import func, select

from bench.fleet import fleet_lines
from bench.load import Answers, Load
from bench.night import ROOT, environment, selo
from selo_dagster.clock import SystemClock
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

Block = dict[tuple[str, ...], float]
"""CPU seconds a person by form, of windows that followed each other."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10_000)
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
            with installation(database, given.people) as environ:
                found = list(measured(environ, given.rate, given.window, answers, random))
            blocks += found
            print(
                f"  {len(found)} blocks: {', '.join(f'{one[PROBES] / one[NOTHING]:.3f}' for one in found)}", flush=True
            )
        for form in (CONTROL, PROBES):
            report(form, answers[form])
        compare(blocks)


@contextmanager
def installation(database: str, people: int) -> Iterator[dict[str, str]]:
    """Yield the environment of a running installation whose people are all due, and whose daemons begin nothing."""
    with environment(database) as environ:
        environ["SELO_MEMORY_LIMIT_PERCENT"] = "1"
        selo(environ, "db", "upgrade")
        lines = fleet_lines(people, now=SystemClock().now().replace(hour=12))
        selo(environ, "ingest", "-", given="".join(lines))
        server = subprocess.Popen(
            [sys.executable, "-m", "selo_dagster", "up", "--port", str(PORT + 1), "--http-port", str(PORT)],
            env=environ,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Each answer has been computed once, as where a monitor has been asking for a while.
            wait_until(lambda: all(asked(path) for path in PROBES) and held_back())
            yield environ
        finally:
            server.terminate()
            server.wait()


def measured(
    environ: dict[str, str], rate: float, window_s: float, answers: dict[tuple[str, ...], Answers], random: Random
) -> Iterator[Block]:
    """Make everybody's dailies; yields the blocks of windows that came to their end meanwhile."""
    store = Store(load_settings(environ).store_url)
    night = psutil.Popen(
        [sys.executable, "-m", "selo_dagster", "reflect", "daily", "--json"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        with Load(PORT, rate) as load:
            wait_until(lambda: made(store) > 0)
            while True:
                block: Block = {}
                for form in random.sample(FORMS, len(FORMS)):
                    if form:
                        load.begin(form, answers[form])
                    time.sleep(LET_SETTLE_S)
                    before = used(night), made(store)
                    time.sleep(window_s)
                    after = used(night), made(store)
                    if form:
                        load.end()
                    if night.poll() is not None:
                        return
                    block[form] = (after[0] - before[0]) / (after[1] - before[1])
                yield block
    finally:
        if night.wait():
            raise SystemExit(f"the night ended with status {night.returncode}")
        store.close()


def used(night: psutil.Popen) -> float:
    """Return the CPU seconds of a process and of those that it began, 0 once it has ended."""
    try:
        return sum(sum(one.cpu_times()[:2]) for one in (night, *night.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0.0


def made(store: Store) -> int:
    """Return how many dailies are done."""
    with store.read() as connection:
        return int(
            connection.execute(
                select(func.count()).where(reflection_ledger.c.kind == "daily", reflection_ledger.c.state == DONE)
            ).scalar_one()
        )


def asked(path: str) -> bytes | None:
    """Return a good answer, else None."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def held_back() -> bool:
    """Tell whether the guard holds back what the daemon would launch."""
    status = json.loads(asked("/status") or b"{}")
    return bool(status and status["guard"] and status["guard"]["holds_back"])


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
    """Print the night's CPU a person, and the ratios of the forms within each block."""
    alone = median(one[NOTHING] for one in blocks)
    print(f"  baseline, no request: {1000 * alone:.2f} ms CPU a person; {len(blocks)} blocks")
    for form, base in ((PROBES, NOTHING), (CONTROL, NOTHING), (PROBES, CONTROL)):
        ratios = [one[form] / one[base] for one in blocks]
        low, middle, high = quantiles(ratios, n=4)
        against = " and ".join(base) or "no request"
        print(
            f"  ratio, {' and '.join(form)} against {against}: {middle:.3f} x the night's CPU "
            f"(half of the blocks {low:.3f} to {high:.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
