"""A Dagster daemon that is killed anywhere in a tick of memory_events, and a cursor that is set back."""

from __future__ import annotations

import inspect
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import dagster._daemon.sensor as dagster_sensors
import pytest
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, SensorInstigatorData
from dagster._grpc.client import DagsterGrpcClient
from sqlalchemy import select

from selo_dagster.memory.event_types import EMOTIONAL_SPIKE
from selo_dagster.reflections.tables import reflection_sources, reflections
from selo_dagster.store.engine import Store
from selo_dagster.triggers.asking import TRIGGERED
from selo_dagster.triggers.cursor import Cursor, read_cursor
from selo_dagster.triggers.parked import DROPPED, parked_events, settle_parked
from selo_dagster.triggers.sensors import INTERVAL_S, NAME
from selo_dagster.triggers.tables import trigger_counts, trigger_parked, trigger_states
from tests.crash.ledger import stored
from tests.crash.processes import DEADLINE_S, FULL, ROOT, until
from tests.crash.stream import (
    IMPORTANT,
    STRONG,
    Forks,
    check_asked_once,
    check_numbers,
    look,
    refs_of,
    requests_of,
    trigger_worker,
    write_events,
    write_memories,
    write_people,
)
from tests.support.fakes import NOW
from tests.support.ports import free_ports

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600 if FULL else 120)]

log = logging.getLogger(__name__)

BEFORE_EVALUATION = ["TICK_CREATED", "TICK_HELD"]
AFTER_EVALUATION = ["AUTOMATION_EVALUATIONS_ADDED", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"]
AFTER_SUBMISSION = ["RUN_IDS_ADDED_TO_EVALUATIONS"]
POINTS = BEFORE_EVALUATION + AFTER_EVALUATION + AFTER_SUBMISSION
RESUMED = POINTS[POINTS.index("RUN_IDS_RESERVED") :]
CHOSEN = POINTS if FULL else ["AUTOMATION_EVALUATIONS_ADDED", "RUN_CREATED"]
NOBODY_KILLS = "-"


def test_every_point_at_which_dagster_lets_a_tick_be_killed_is_known_here() -> None:
    source = inspect.getsource(dagster_sensors)
    assert set(re.findall(r'check_for_debug_crash\(\s*sensor_debug_crash_flags, "(\w+)"\s*\)', source)) == set(POINTS)


@dataclass
class Daemon:
    """Dagster's daemon, iteration by iteration, each a process of its own."""

    forks: Forks
    instance: dg.DagsterInstance
    port: int
    """Of the code server."""

    def loaded(self) -> None:
        """Wait until it can begin."""
        self.forks.worker.said("LOADED")

    def tick(self, point: str = NOBODY_KILLS) -> bool:
        """Run one iteration of the sensors, the interval after the last; tells whether it was killed."""
        self.begin(point)
        return self._killed()

    def begin(self, point: str = NOBODY_KILLS) -> int:
        """Begin an iteration; returns its process id."""
        self._interval_passes()
        return self.forks.begin(f"{point} {self.port}")

    def state(self) -> InstigatorState:
        """Return what Dagster keeps of the sensor between ticks."""
        found = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        return next(one for one in found if one.instigator_name == NAME)

    def change(self, **values: Any) -> None:
        """Change it."""
        state = self.state()
        assert isinstance(state.instigator_data, SensorInstigatorData)
        self.instance.update_instigator_state(state.with_data(state.instigator_data._replace(**values)))

    def cursor(self) -> str | None:
        """Return the sensor's cursor."""
        data = self.state().instigator_data
        assert isinstance(data, SensorInstigatorData)
        return data.cursor

    def runs(self) -> list[dg.DagsterRun]:
        """Return the runs of triggered reflections, oldest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name=TRIGGERED.job)))[::-1]

    def do_the_runs(self) -> None:
        """Start what is in the queue, and wait until it has succeeded."""
        self.forks.begin(f"dequeue {self.port}")
        assert not self._killed()
        until(lambda: all(run.is_finished for run in self.runs()), "a run does not end")
        assert {run.status for run in self.runs()} == {dg.DagsterRunStatus.SUCCESS}

    def _killed(self) -> bool:
        status = self.forks.ended()
        assert status in {0, -signal.SIGKILL}, self.forks.worker.errors.read_text()[-3000:]
        return status != 0

    def _interval_passes(self) -> None:
        for state in self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            data = state.instigator_data
            if state.instigator_name == NAME and isinstance(data, SensorInstigatorData):
                earlier = {
                    name: at - INTERVAL_S
                    for name in ("last_tick_timestamp", "last_tick_start_timestamp")
                    if (at := getattr(data, name)) is not None
                }
                self.change(**earlier)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Dagster home on disk, as `selo` makes it."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    shutil.copy(ROOT / "dagster.yaml", folder)
    return folder


@contextmanager
def code_server(home: Path, environment: dict[str, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Serve the code location, in a process group that is killed at the end; yields the port."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-m", "selo_dagster.definitions"]
    command += ["-h", "127.0.0.1", "-p", str(port), "--location-name", "selo_dagster"]
    with (home / "server").open("ab") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
        )
    try:
        until(lambda: process.poll() is not None or _serves(port), "the code server does not start")
        assert process.poll() is None, (home / "server").read_text()[-3000:]
        yield port, process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)


def _serves(port: int) -> bool:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)):
            return False
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    return bool(client.health_check_query() == "SERVING")  # type: ignore[no-untyped-call]


@contextmanager
def daemon(home: Path, url: str) -> Iterator[Daemon]:
    """A daemon that is loading, without a code server."""
    with (
        trigger_worker(home, "ticks", environment=_environment(home, url), wait=False) as worker,
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        yield Daemon(Forks(worker), instance, 0)


def _environment(home: Path, url: str) -> dict[str, str]:
    return {"DAGSTER_HOME": str(home), "DATABASE_URL": url, "SELO_LEASE_S": "1"}


def remember(store: Store, *names: str) -> set[str]:
    """Add somebody new, of whom two strong memories are known at once; returns the memories."""
    rows = [(name, f"{name}-{number}", STRONG) for name in names for number in range(2)]
    with store.write() as connection:
        write_people(connection, names)
        write_memories(connection, rows)
    return {memory_id for _, memory_id, _ in rows}


def check_reflected_once(store: Store, strong: set[str]) -> None:
    """Each strong memory is in exactly one request, and each request in exactly one reflection that names it."""
    check_asked_once(store, strong, IMPORTANT)
    with store.read() as connection:
        made = {one.id: one for one in connection.execute(select(reflections))}
        sources = connection.execute(select(reflection_sources).where(reflection_sources.c.source == "memory")).all()
    read = {(one.reflection_id, one.source_id) for one in sources if one.use in {"cited", "read"}}
    rows = requests_of(store, IMPORTANT)
    assert {row.state for row in rows} == {"done"}
    assert sorted(row.reflection_id for row in rows) == sorted(made)
    assert {(one.kind, one.version) for one in made.values()} == {(TRIGGERED.name, 1)}
    assert sorted(read) == sorted((row.reflection_id, ref) for row in rows for ref in refs_of(row.cause))


def test_a_daemon_that_is_killed_at_any_point_of_a_tick_leaves_every_strong_memory_to_exactly_one_reflection(
    store: Store, postgres_url: str, home: Path
) -> None:
    strong: set[str] = set()
    with (
        daemon(home, postgres_url) as one,
        code_server(home, _environment(home, postgres_url)) as (one.port, _),
    ):
        one.loaded()
        for number, point in enumerate(CHOSEN):
            before = len(requests_of(store, IMPORTANT))
            strong |= remember(store, f"{point.lower()}-1", f"{point.lower()}-2")
            assert one.tick(point)
            asked = len(requests_of(store, IMPORTANT)) > before
            assert asked == (point not in BEFORE_EVALUATION), "killed elsewhere than meant"
            assert len(one.runs()) == number + (point in POINTS[POINTS.index("RUN_CREATED") :])
            if point in RESUMED and point != CHOSEN[-1]:
                # The next tick does not look: it goes on with what this one had reserved.
                strong |= remember(store, f"{point.lower()}-meanwhile")

            assert not one.tick()
            assert len(one.runs()) == number + 1, "no run was asked for, or two"
            one.do_the_runs()
            log.info(f"killed at {point}: {len(one.runs())} runs, {len(requests_of(store, IMPORTANT))} requests")
        check_numbers(store)
        check_reflected_once(store, strong)

        before_ticks, runs = everything(store), len(one.runs())
        cursor = one.cursor()
        for set_to in (cursor, Cursor(seq=0).text(), None, "nonsense"):
            one.change(cursor=set_to)
            assert not one.tick()
            assert (everything(store), len(one.runs())) == (before_ticks, runs), f"with the cursor {set_to}"
            assert read_cursor(one.cursor()) == read_cursor(cursor) is not None


def everything(store: Store) -> list[tuple[Any, ...]]:
    """Return every row of the ledger, of what was made, and of what triggers keep."""
    with store.read() as connection:
        kept = [
            tuple(row)
            for table in (trigger_states, trigger_counts, trigger_parked)
            for row in connection.execute(select(table).order_by(*table.primary_key))
        ]
    return stored(store) + kept


@pytest.mark.skipif(not FULL, reason="starts three code servers")
def test_a_code_server_and_a_daemon_that_die_once_a_look_is_committed_leave_a_run_to_the_next(
    store: Store, postgres_url: str, home: Path
) -> None:
    environment = _environment(home, postgres_url)
    strong: set[str] = set()
    with daemon(home, postgres_url) as one:
        one.loaded()
        for turn in range(2):
            strong |= remember(store, f"ana-{turn}", f"ben-{turn}")
            wanted = len(strong) // 2
            with code_server(home, environment) as (one.port, server):
                pid = one.begin()
                until(partial(_asked, store, wanted), "the look is not committed")
                os.killpg(server.pid, signal.SIGKILL)
                log.info(f"the daemon was still at work: {one.forks.killed(pid)}; {len(one.runs())} runs")
        with code_server(home, environment) as (one.port, _):
            assert not one.tick()
            one.do_the_runs()
            # Tried again: Dagster had called that tick a failure, or had kept its run.
            assert not one.tick()
            one.do_the_runs()
    check_reflected_once(store, strong)


def _asked(store: Store, number: int) -> bool:
    return len(requests_of(store, IMPORTANT)) == number


def test_a_cursor_that_is_set_back_parks_nothing_again_that_somebody_dropped(store: Store) -> None:
    with store.write() as connection:
        write_people(connection, ["ana"])
        write_events(connection, [("ana", "e1", EMOTIONAL_SPIKE, {"emotion": "joy", "intensity": 7})])
    look(store)
    with store.write() as connection:
        (event,) = parked_events(connection)
        settle_parked(connection, [event.seq], DROPPED, NOW)
    before = everything(store)
    look(store)
    assert everything(store) == before
