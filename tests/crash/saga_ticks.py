"""A daemon for sagas: takes lines `port act…` and forks a process for each, which does these acts one after another
with the code server at that port: `tick` runs one iteration of Dagster's sensors, the interval after the last;
`tick:POINT` kills itself at that point of the tick of saga_runs; `dequeue` starts the runs in Dagster's queue.

Prints LOADED when it can begin, then for each line `BEGAN pid` and `ENDED status`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, SensorInstigatorData
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

from tests.crash.worker import tell

SENSOR = "saga_runs"
LONG_AGO_S = 60.0
LOCATION = "selo_dagster"


def main() -> None:
    """Fork a process for each line; it inherits what was imported, and no connection."""
    tell("LOADED")
    while line := sys.stdin.readline().split():
        child = os.fork()
        if not child:
            status = 1
            try:
                _act(int(line[0]), line[1:])
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        tell(f"BEGAN {child}")
        tell(f"ENDED {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


def _act(port: int, acts: list[str]) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name=LOCATION)
    with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as workspace:
        for act in acts:
            if act == "dequeue":
                for _ in QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(workspace):
                    pass
            else:
                _tick(instance, workspace, act.partition(":")[2])


def _tick(instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, point: str) -> None:
    known = {one.instigator_name: one for one in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)}
    repositories = workspace.create_request_context().get_code_location(LOCATION).get_repositories()
    for sensor in (one for repository in repositories.values() for one in repository.get_sensors()):
        state = known.get(sensor.name)
        if sensor.name == SENSOR:
            _let_the_interval_pass(instance, state)
        elif state is None or state.status != InstigatorStatus.STOPPED:
            # What others ask for is not under test.
            instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
    flags = {SENSOR: {point: int(signal.SIGKILL)}} if point else None
    for _ in execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None, debug_crash_flags=flags):
        pass


def _let_the_interval_pass(instance: dg.DagsterInstance, state: InstigatorState | None) -> None:
    data = None if state is None else state.instigator_data
    if state is not None and isinstance(data, SensorInstigatorData):
        earlier = {
            name: at - LONG_AGO_S
            for name in ("last_tick_timestamp", "last_tick_start_timestamp")
            if (at := getattr(data, name)) is not None
        }
        instance.update_instigator_state(state.with_data(data._replace(**earlier)))


if __name__ == "__main__":
    main()
