"""Processes that let the rules look at the stream, for tests that kill them. Each prints LOADED when it can begin.

keep    waits for a line, then looks again and again until another line comes in, once more after it, and prints
        `ENDED n` with the number of events that it looked at.
forks   takes lines `at batch`: forks a process that looks until nothing is left, in transactions of `batch` events,
        and kills itself before its statement number `at` (0: never). Prints `BEGAN pid`, then `ENDED status`.
ticks   takes lines `point port`: forks a daemon that runs one iteration of Dagster's sensors with the code server at
        that port, and kills itself at that point of the tick of memory_events (`-`: never); `dequeue` for a point:
        forks one that starts the runs in Dagster's queue. Prints the same.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import event

from selo_dagster.store.engine import Store
from tests.crash.stream import look
from tests.crash.worker import tell


def main(arguments: Sequence[str] | None = None) -> None:
    """Do as told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["keep", "forks", "ticks"])
    parser.add_argument("--url", default="")
    parser.add_argument("--batch", type=int, default=50)
    given = parser.parse_args(arguments)
    if given.mode == "keep":
        _keep(given.url, given.batch)
    elif given.mode == "forks":
        _forks(lambda line: _look(given.url, *map(int, line.split())))
    else:
        import dagster._daemon.run_coordinator.queued_run_coordinator_daemon
        import dagster._daemon.sensor  # noqa: F401 - once for all the processes that are forked

        _forks(lambda line: _dagster(*line.split()))


def _keep(url: str, batch: int) -> None:
    store = Store(url)
    tell("LOADED")
    sys.stdin.readline()
    found, told = 0, False
    while not told:
        told = bool(select.select([sys.stdin], [], [], 0)[0])
        found += look(store, batch=batch).events
    store.close()
    tell(f"ENDED {found}")


def _forks(work: Callable[[str], None]) -> None:
    """Fork a process for each line; it inherits what was imported, and no connection."""
    tell("LOADED")
    while line := sys.stdin.readline().strip():
        child = os.fork()
        if not child:
            status = 1
            try:
                work(line)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        tell(f"BEGAN {child}")
        tell(f"ENDED {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


def _look(url: str, at: int, batch: int) -> None:
    store = Store(url)
    if at:
        _die_at_statement(store, at)
    look(store, batch=batch)
    store.close()


def _die_at_statement(store: Store, number: int) -> None:
    """Let the process die before its statement of that number; beginnings and commits count as well."""
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "begin", "commit"):
        event.listen(store.engine, name, count)


def _dagster(point: str, port: str) -> None:
    import logging

    import dagster as dg
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import GrpcServerTarget
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
    from dagster._daemon.sensor import execute_sensor_iteration

    from selo_dagster.triggers.sensors import NAME

    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    target = GrpcServerTarget(host="127.0.0.1", port=int(port), socket=None, location_name="selo_dagster")
    with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as workspace:
        if point == "dequeue":
            for _ in QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(workspace):
                pass
            return
        repositories = workspace.create_request_context().get_code_location("selo_dagster").get_repositories()
        for sensor in (one for repository in repositories.values() for one in repository.get_sensors()):
            if sensor.name != NAME:
                # Others may ask for runs of the same rows, and would hide what this one forgets.
                instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
        flags = None if point == "-" else {NAME: {point: int(signal.SIGKILL)}}
        for _ in execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None, debug_crash_flags=flags):
            pass


if __name__ == "__main__":
    main()
