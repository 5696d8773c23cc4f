"""Starts workers, reads what they say, and leaves none behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FULL = os.environ.get("SELO_TEST_SCALE") == "full"
DEADLINE_S = 60.0
POLL_S = 0.01

PARENT = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
"""Stands for the code server: it starts the worker in its own process group and waits for it."""


def until(holds: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
    """Look again and again until `holds`; fails with `what` when it takes too long."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, f"waited {limit_s:g} s in vain: {what}"
        time.sleep(POLL_S)


class Call(NamedTuple):
    """One question that reached the model. at_ns: by the machine's clock, which is the database's too."""

    user: str
    pid: int
    run_id: str
    at_ns: int


@dataclass(frozen=True)
class Calls:
    """The file to which workers append their model calls."""

    path: Path

    def all(self) -> list[Call]:
        """Return every call so far, oldest first."""
        if not self.path.exists():
            return []
        found = [line.split() for line in self.path.read_text().splitlines()]
        return [Call(user, int(pid), run_id, int(at)) for user, pid, run_id, at in found]

    def of(self, run_id: str) -> list[Call]:
        """Return the calls of one run."""
        return [one for one in self.all() if one.run_id == run_id]


@dataclass(frozen=True)
class Worker:
    """A running worker."""

    process: subprocess.Popen[bytes]
    errors: Path

    def said(self, word: str) -> str:
        """Return the rest of the next line, which has to begin with `word`; waits for it."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        line = self.process.stdout.readline().decode() if ready else "nothing"
        assert line.startswith(word), f"{line!r} instead of {word}: {self.errors.read_text()[-2000:]}"
        return line.removeprefix(word).strip()

    def go(self) -> None:
        """Let a worker begin that was started to wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker alone."""
        os.kill(self.process.pid, number)

    def kill(self) -> bool:
        """Kill it as the kernel does; tells whether it was still at work."""
        return self._died_of(os.kill)

    def kill_group(self) -> bool:
        """Kill it with everybody in its process group; tells whether it was still at work."""
        return self._died_of(os.killpg)

    def _died_of(self, kill: Callable[[int, int], None]) -> bool:
        with suppress(ProcessLookupError):
            kill(self.process.pid, signal.SIGKILL)
        return self.process.wait(DEADLINE_S) == -signal.SIGKILL

    def settled(self) -> int:
        """Wait until it has ended well; returns how many people it settled."""
        while not (said := self.said("")).startswith("ENDED"):
            assert said == "READY", f"{said!r}: {self.errors.read_text()[-2000:]}"
        assert self.process.wait(DEADLINE_S) == 0
        return int(said.split()[1])


@contextmanager
def worker(
    url: str,
    run_id: str,
    calls: Calls,
    *,
    lease_s: float = 1.0,
    slow_s: float = 0.01,
    killer: str | None = None,
    budget: int | None = None,
    wait: bool = False,
    below_a_parent: bool = False,
) -> Iterator[Worker]:
    """Run a worker, in a process group of its own, which is killed at the end."""
    command = [sys.executable, "-m", "tests.crash.worker", url, run_id, "--calls", str(calls.path)]
    command += ["--lease", str(lease_s), "--slow", str(slow_s)]
    command += ["--killer", killer] if killer else []
    command += ["--budget", str(budget)] if budget is not None else []
    command += ["--wait"] if wait else []
    if below_a_parent:
        command = [sys.executable, "-c", PARENT, *command]
    errors = calls.path.with_name(f"{run_id}.err")
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            bufsize=0,
            cwd=ROOT,
            start_new_session=True,
        )
    with process:
        try:
            yield Worker(process, errors)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)
