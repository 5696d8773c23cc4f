"""The HTTP application under many probes beside a night: latencies, errors, and what it costs the night.

    python -m bench.probes [--people 1000] [--rate 500] [--rounds 3] [--database sqlite|postgresql]

The same night runs in three forms, each time on a database of its own, and the medians are compared: without a single
request, beside requests for /livez, which computes nothing and reads no database, and beside those for /readyz and
/metrics. The first is the baseline; the second tells apart what sending and serving so many requests costs a night on
the processors that it shares with them. `selo up` runs beside all three, with the resource guard holding its own runs
back, so that `selo night` does all the work. Requests are sent at fixed times, whether or not earlier ones were
answered; a latency counts from when a request was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from statistics import median
from typing import Any

import psutil

from bench.fleet import fleet_lines
from bench.night import ROOT, environment, selo
from selo_dagster.clock import SystemClock

CONNECTIONS = 32
CONTROL = ("/livez",)
PROBES = ("/readyz", "/metrics")
PORT = 38_471
START_LIMIT_S = 240.0


@dataclass
class Load:
    """Sends requests at a rate until it is told to end."""

    rate: float
    paths: tuple[str, ...]
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send."""
        asyncio.run(self._send())

    async def _send(self) -> None:
        began = time.perf_counter()
        turns = iter(range(10**9))
        await asyncio.gather(*(self._connection(began, turns) for _ in range(CONNECTIONS)))

    async def _connection(self, began: float, turns: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while not self.over.is_set():
            number = next(turns)
            due = began + number / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            path = self.paths[number % len(self.paths)]
            writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            body = await reader.readexactly(length)
            self.latencies_s.append(time.perf_counter() - due)
            status = int(head.split()[1])
            self.statuses[f"{path} {status}"] += 1
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                self.reasons.update(f"{one['name']}: {one['reason']}" for one in unwell(body))
        writer.close()

    def percentile_ms(self, share: float) -> float:
        """Return a latency in milliseconds."""
        return 1000 * sorted(self.latencies_s)[int(share * (len(self.latencies_s) - 1))]


def unwell(body: bytes) -> list[dict[str, Any]]:
    """Return the parts that an answer of /readyz calls not well."""
    return [one for one in json.loads(body)["components"] if not one["ok"]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--rounds", type=int, default=3, help="nights of each form, in turn")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given = parser.parse_args()
    for database in given.database or ("sqlite", "postgresql"):
        print(f"\n{database}: nights of {given.people} people", flush=True)
        forms: dict[tuple[str, ...], list[Night]] = {(): [], CONTROL: [], PROBES: []}
        for _ in range(given.rounds):
            for paths, nights in forms.items():
                load = Load(given.rate, paths) if paths else None
                nights.append(measured(database, given.people, load))
                report(nights[-1], load)
        compare(forms)


@dataclass(frozen=True)
class Night:
    """CPU and wall seconds of a night, and the CPU seconds of the HTTP application meanwhile."""

    cpu_s: float
    wall_s: float
    server_s: float


def measured(database: str, people: int, load: Load | None) -> Night:
    """Run one night beside `selo up`."""
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
            wait_until(lambda: ask("/readyz") is not None and held_back())
            http = next(one for one in psutil.Process(server.pid).children() if "http" in one.cmdline())
            before = http.cpu_times()
            sending = threading.Thread(target=load.run) if load is not None else None
            if sending is not None:
                sending.start()
            cpu_s, wall_s = night(environ)
            after = http.cpu_times()
            if load is not None and sending is not None:
                load.over.set()
                sending.join()
        finally:
            server.terminate()
            server.wait()
        return Night(cpu_s, wall_s, after.user + after.system - before.user - before.system)


def night(environ: dict[str, str]) -> tuple[float, float]:
    """Run `selo night`; returns its CPU and wall seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "selo_dagster", "night", "--json"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"selo night ended with status {status}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


def ask(path: str) -> Any:
    """Return the JSON of a good answer, else None."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as answer:
            return json.loads(answer.read())
    except OSError:
        return None


def held_back() -> bool:
    """Tell whether the guard holds back what the daemon would launch."""
    status = ask("/status")
    return bool(status and status["guard"] and status["guard"]["holds_back"])


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.perf_counter() + START_LIMIT_S
    while not holds():
        if time.perf_counter() > end:
            raise SystemExit(f"not ready: {ask('/livez')}")
        time.sleep(0.5)


def report(night: Night, load: Load | None) -> None:
    """Print what one night showed."""
    said = f"night {night.cpu_s:.1f} s CPU in {night.wall_s:.0f} s, HTTP app {night.server_s:.1f} s CPU"
    if load is None:
        print(f"  no request: {said}", flush=True)
        return
    sent = len(load.latencies_s)
    print(f"  {' and '.join(load.paths)}: {sent} requests, {sent / night.wall_s:.0f} a second; {said}")
    told = ", ".join(f"p{int(100 * p)} {load.percentile_ms(p):.1f} ms" for p in (0.5, 0.95, 0.99))
    print(f"    {told}, longest {1000 * max(load.latencies_s):.0f} ms; {dict(sorted(load.statuses.items()))}")
    for reason, times in load.reasons.most_common(10):
        print(f"    not well, {times} x {reason}")
    sys.stdout.flush()


def compare(forms: Mapping[tuple[str, ...], Sequence[Night]]) -> None:
    """Print the ratios of the medians."""
    alone, control, probes = (median(night.cpu_s for night in nights) for nights in forms.values())
    print(f"  ratio, {' and '.join(PROBES)} against no request: {probes / alone:.3f} x the night's CPU")
    print(f"  ratio, {' and '.join(CONTROL)} against no request: {control / alone:.3f} x")
    print(f"  ratio, {' and '.join(PROBES)} against {' and '.join(CONTROL)}: {probes / control:.3f} x", flush=True)


if __name__ == "__main__":
    main()
