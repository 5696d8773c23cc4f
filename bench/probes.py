"""The HTTP application under many probes beside a night: latencies, errors, and what it costs the night.

    python -m bench.probes [--people 4000] [--rate 500] [--database sqlite|postgresql]

The baseline is the same night on a database of its own without a single request, measured in the same run. `selo up`
runs beside both, with the resource guard holding its own runs back, so that `selo night` does all the work. Requests
are sent at fixed times, whether or not earlier ones were answered; a latency counts from when a request was due.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.fleet import fleet_lines
from bench.night import ROOT, environment, selo
from selo_dagster.clock import SystemClock

CONNECTIONS = 32
PATHS = ("/readyz", "/metrics")
PORT = 38_471
START_LIMIT_S = 240.0


@dataclass
class Load:
    """Sends requests at a rate until it is told to end."""

    rate: float
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
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
            writer.write(f"GET {PATHS[number % len(PATHS)]} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            await reader.readexactly(length)
            self.latencies_s.append(time.perf_counter() - due)
            self.statuses[int(head.split()[1])] += 1
        writer.close()

    def percentile_ms(self, share: float) -> float:
        """Return a latency in milliseconds."""
        return 1000 * sorted(self.latencies_s)[int(share * (len(self.latencies_s) - 1))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4_000)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given = parser.parse_args()
    for database in given.database or ("sqlite", "postgresql"):
        alone_s, alone_wall_s, _ = measured(database, given.people, None)
        load = Load(given.rate)
        beside_s, wall_s, server_s = measured(database, given.people, load)
        report(database, given.people, load, (alone_s, alone_wall_s), (beside_s, wall_s), server_s)


def measured(database: str, people: int, load: Load | None) -> tuple[float, float, float]:
    """Run one night beside `selo up`; returns its CPU and wall seconds, and the CPU seconds of the HTTP application."""
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
        return cpu_s, wall_s, after.user + after.system - before.user - before.system


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


def report(
    database: str,
    people: int,
    load: Load,
    alone: tuple[float, float],
    beside: tuple[float, float],
    server_s: float,
) -> None:
    """Print a paragraph."""
    sent = len(load.latencies_s)
    print(
        f"\n{database}: {sent} requests in {beside[1]:.0f} s ({sent / beside[1]:.0f} a second), {' and '.join(PATHS)}"
    )
    print(f"  statuses    {dict(sorted(load.statuses.items()))}")
    print("  latency     " + ", ".join(f"p{int(100 * p)} {load.percentile_ms(p):.1f} ms" for p in (0.5, 0.95, 0.99)))
    print(f"  longest     {1000 * max(load.latencies_s):.0f} ms")
    print(f"  HTTP app    {server_s:.1f} s CPU, {1000 * server_s / sent:.2f} ms a request")
    print(f"  night       of {people} people: {alone[0]:.1f} s CPU alone, {beside[0]:.1f} s beside the requests")
    print(f"  wall        {alone[1]:.1f} s alone, {beside[1]:.1f} s beside")
    print(f"  ratio       {beside[0] / alone[0]:.3f} x the night's CPU")


if __name__ == "__main__":
    main()
