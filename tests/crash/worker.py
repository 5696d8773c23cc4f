"""A process that works through one cohort and tells what it asks the model, for tests that kill it.

Prints LOADED and waits for a line when `--wait` is given, READY when its first attempt has begun and
`ENDED n` with the number of people that it settled.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from selo_dagster.llm.budgets.caps import Budget, Cap
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.store.engine import Store
from tests.support.fakes import FakeModel, good_answer, limits, tools

CONCURRENCY = 4
CHUNK = 10


@dataclass
class Telling:
    """Answers after a while, and writes down each call before it: what is written survives SIGKILL."""

    calls: int
    run_id: str
    slow_s: float
    killer: str | None
    asked: int = 0

    async def answer(self, request: CompletionRequest) -> str:
        """Answer by the book, or die of the killer's context."""
        line = f"{request.subject} {os.getpid()} {self.run_id} {time.time_ns()}\n"
        os.write(self.calls, line.encode())
        self.asked += 1
        if self.asked == 1:
            tell("READY")
        if request.subject == self.killer:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(self.slow_s)
        return good_answer(request)


def tell(word: str) -> None:
    """Print a line past every buffer."""
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Work until nothing can be claimed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("run_id")
    parser.add_argument("--calls", required=True, help="file to which each model call is appended")
    parser.add_argument("--lease", type=float, default=1.0)
    parser.add_argument("--slow", type=float, default=0.01, help="seconds that the model takes")
    parser.add_argument("--budget", type=int, help="tokens that may be used in a day")
    parser.add_argument("--killer", help="the person whose context kills the process")
    parser.add_argument("--wait", action="store_true", help="do not begin before a line comes in")
    given = parser.parse_args(arguments)
    store = Store(given.url)
    calls = os.open(given.calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if given.wait:
        tell("LOADED")
        sys.stdin.readline()
    model = FakeModel(Telling(calls, given.run_id, given.slow, given.killer).answer)
    bounds = limits(lease_s=given.lease, concurrency=CONCURRENCY, chunk=CHUNK)
    budget = None if given.budget is None else Budget(Cap(given.budget), user=Cap(given.budget))
    cohort = Cohort(DAILY, given.run_id, bounds, replace(tools(store, model), budget=budget), lambda _: None)
    tell(f"ENDED {sum(len(batch) for batch in settlements(cohort))}")
    store.close()


if __name__ == "__main__":
    main()
