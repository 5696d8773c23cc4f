"""A process that carries out, or undoes, what it can claim of one saga, and dies or falls asleep at a chosen commit.

Prints READY once it has claimed, ASLEEP before it stops itself, and `ENDED n` with the number of sagas that it brought
to the end of its run.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from random import Random

from sqlalchemy import event

from selo_dagster.clock import SystemClock
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.claim import claim, take_back_expired
from selo_dagster.sagas.engine import Tools
from selo_dagster.sagas.lease import Beating
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.undo import undo_step
from selo_dagster.sagas.verdict import verdict
from selo_dagster.store.engine import Store


def tell(word: str) -> None:
    """Print a line past every buffer."""
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


def at_commit(store: Store, number: int, where: str, act: Callable[[], None]) -> None:
    """Act right before, or right after, the n-th commit of this process's engine; the heartbeat has its own."""
    seen = 0
    committed = False

    def before(_connection: object) -> None:
        nonlocal seen, committed
        seen += 1
        committed = seen == number
        if committed and where == "before":
            act()

    def after(_connection: object, _record: object) -> None:
        nonlocal committed
        if committed and where == "after":
            committed = False
            act()

    event.listen(store.engine, "commit", before)
    event.listen(store.engine, "checkin", after)


def fall_asleep() -> None:
    """Stop this process as a machine does that is put to sleep."""
    tell("ASLEEP")
    os.kill(os.getpid(), signal.SIGSTOP)


def die() -> None:
    """End as the kernel ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Claim once and work until the end of the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("saga")
    parser.add_argument("direction", choices=(FORWARD, COMPENSATE))
    parser.add_argument("run_id")
    parser.add_argument("--lease", type=float, default=1.0)
    parser.add_argument("--kill-at", type=int, default=0, help="commit at which it dies")
    parser.add_argument("--sleep-at", type=int, default=0, help="commit after which it stops itself")
    parser.add_argument("--where", choices=("before", "after"), default="after")
    given = parser.parse_args(arguments)
    store = Store(given.url)
    if given.kill_at:
        at_commit(store, given.kill_at, given.where, die)
    if given.sleep_at:
        at_commit(store, given.sleep_at, "after", fall_asleep)
    tell(f"ENDED {work(store, given.saga, given.direction, given.run_id, given.lease)}")
    store.close()


def work(store: Store, name: str, direction: str, run_id: str, lease_s: float) -> int:
    """Do what a run of the saga's job does; returns how many sagas came through."""
    saga = registry().type(name)
    tools = Tools(store, SystemClock(), Random(1))
    with Beating(store.url.render_as_string(hide_password=False), run_id, lease_s):
        with store.write() as connection:
            take_back_expired(connection)
            tokens = claim(
                connection, saga, direction, run_id=run_id, now=tools.clock.now(), lease_s=lease_s, limit=500
            )
        tell("READY")
        if direction == FORWARD:
            through: set[str] = {saga_id for saga_id, _ in tokens}
            for step in saga.order:
                through &= set(forward_step(tools, saga, step, tokens, run_id).through)
            return len(through)
        for step in reversed(saga.order):
            undo_step(tools, saga, step, tokens, run_id)
        return sum(verdict(tools, saga, tokens, run_id).values())


if __name__ == "__main__":
    main()
