"""Sagas by Dagster's own way: daemons, run workers and code servers that are killed, and runs that are cancelled."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from sqlalchemy import func, select, text

from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.tables import saga_locks, saga_steps, sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.crash.ledger import other_connections
from tests.crash.processes import FULL, ROOT, until
from tests.crash.saga_processes import (
    ask_for,
    check_compensated,
    check_completed,
    finish,
    saga_daemon,
    states,
    turn,
    until_free,
)
from tests.crash.stream import Forks
from tests.crash.test_trigger_daemon import POINTS, RESUMED, code_server
from tests.support.locks import waiting_for_a_lock

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(900 if FULL else 120)]

log = logging.getLogger(__name__)

JOB = "saga_goal_creation"
LEASE_S = 1.0
FORWARD, COMPENSATE = "forward", "compensate"
RESERVED = "RUN_IDS_RESERVED"
"""Between the reservation of a run and its submission."""

TABLES = ("goals", "goal_steps", "relationship_questions")
"""What the steps write, in their order; the way back goes the other way."""

HELD_AT = TABLES if FULL else ("goal_steps",)
"""In the middle: one step has committed, whichever the direction."""

GATES = """
CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::int);
    RETURN NULL;
END $$;
""" + "".join(
    f"CREATE TRIGGER gate BEFORE INSERT OR UPDATE OR DELETE ON {table} "
    f"FOR EACH STATEMENT EXECUTE FUNCTION wait_at_the_gate({number});\n"
    for number, table in enumerate(TABLES)
)


@dataclass
class Machine:
    """One installation: a code server, a daemon that runs when it is told, and the run workers that they start."""

    store: Store
    home: Path
    environ: dict[str, str]
    stack: ExitStack
    forks: Forks
    instance: dg.DagsterInstance
    servers: list[tuple[int, subprocess.Popen[bytes]]] = field(default_factory=list)

    def serve(self) -> None:
        """Start a code server; the one before is gone."""
        self.servers.append(self.stack.enter_context(code_server(self.home, self.environ)))

    def tick(self, point: str = "") -> bool:
        """Run one iteration of the sensors; tells whether it was killed at that point of the tick of saga_runs."""
        self.forks.begin(f"{self.servers[-1][0]} tick:{point}")
        return self._killed()

    def go_on(self) -> dg.DagsterRun:
        """Run one iteration, which has to ask for one run, and start that; returns it."""
        before = len(self.runs())
        self.forks.begin(f"{self.servers[-1][0]} tick dequeue")
        assert not self._killed()
        assert len(self.runs()) == before + 1, "no run was asked for, or two"
        return self.runs()[-1]

    def finish(self) -> dg.DagsterRun:
        """Run one iteration, start the run that it asks for, and wait until that has succeeded; returns it."""
        return self.succeeded(self.go_on())

    def succeeded(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """Wait until a run has ended, which has to be well; returns it."""
        assert self.ended(run).status == dg.DagsterRunStatus.SUCCESS, (self.home / "server").read_text()[-3000:]
        return run

    def ended(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """Wait until a run has ended; returns it as it is then."""
        until(lambda: self.now(run).is_finished, "a run does not end")
        return self.now(run)

    def now(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """Return a run as Dagster knows it now."""
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def runs(self) -> list[dg.DagsterRun]:
        """Return every run, oldest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name=JOB)))[::-1]

    def pid(self, run: dg.DagsterRun) -> int:
        """Return the process of a run's worker."""
        said = (re.search(r"Started process for run \(pid: (\d+)\)", one.message) for one in self.entries(run))
        return next(int(found[1]) for found in said if found)

    def entries(self, run: dg.DagsterRun) -> Sequence[Any]:
        """Return a run's log."""
        return self.instance.all_logs(run.run_id)

    def kill(self, run: dg.DagsterRun, *, and_server: bool) -> None:
        """Kill a run's worker as the kernel does, and the code server with it where told."""
        worker = psutil.Process(self.pid(run))
        if and_server:
            server = self.servers[-1][1]
            os.killpg(server.pid, signal.SIGKILL)
            assert server.wait() == -signal.SIGKILL
        else:
            worker.kill()
        until(lambda: not _lives(worker), "the killed worker lives")

    def stop(self, run: dg.DagsterRun) -> None:
        """Do to a run what its termination does: note the wish, and send its worker a signal."""
        self.instance.report_run_canceling(self.now(run))
        os.kill(self.pid(run), signal.SIGTERM)

    def _killed(self) -> bool:
        status = self.forks.ended()
        assert status in {0, -signal.SIGKILL}, self.forks.worker.errors.read_text()[-3000:]
        return status != 0


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


@pytest.fixture
def machine(store: Store, postgres_url: str, tmp_path: Path) -> Iterator[Machine]:
    """An installation with its code server, and gates in the tables that the steps write."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    environ = {"DAGSTER_HOME": str(home), "DATABASE_URL": postgres_url, "SELO_LEASE_S": f"{LEASE_S:g}"}
    with store.write() as connection:
        connection.execute(text(GATES))
    with ExitStack() as stack:
        forks = stack.enter_context(saga_daemon(home, environ))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        one = Machine(store, home, environ, stack, forks, instance)
        one.serve()
        forks.worker.said("LOADED")
        yield one


@contextmanager
def closed(url: str, table: str) -> Iterator[None]:
    """Let every statement that writes a table wait until the end, inside its transaction."""
    gate = Store(url, pool_size=1)
    try:
        with gate.write() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(TABLES.index(table))))
            yield
    finally:
        gate.close()


def until_held(store: Store) -> None:
    """Wait until somebody waits at a gate."""
    asked = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )

    def held() -> bool:
        with store.read() as connection:
            return bool(connection.execute(asked).scalar_one())

    until(held, "nobody comes to the gate")


def held_run(machine: Machine, table: str) -> dg.DagsterRun:
    """Ask for a run and start it; returns it once it is held in the middle of the step that writes a table."""
    run = machine.go_on()
    until_held(machine.store)
    assert machine.now(run).status == dg.DagsterRunStatus.STARTED, table
    return run


def leases_beyond(store: Store, seconds: float) -> int:
    """Return how many leases hold for longer than that, by the database's clock."""
    with store.read() as connection:
        later = select(func.count()).select_from(sagas).where(sagas.c.lease_until > database_now(seconds))
        return int(connection.execute(later).scalar_one())


def directions(store: Store) -> set[str]:
    """Return where sagas go that have not ended."""
    with store.read() as connection:
        return set(connection.execute(select(sagas.c.direction).where(sagas.c.ended_at.is_(None))).scalars())


@pytest.mark.skipif(not FULL, reason="the next test kills one too")
def test_a_daemon_that_is_killed_at_any_point_of_a_tick_leaves_every_saga_to_one_run_and_each_effect_to_one_commit(
    store: Store, machine: Machine
) -> None:
    ids: list[str] = []
    for number, point in enumerate(POINTS):
        ids += ask_for(store, [f"{point.lower()}-{one}" for one in range(2)])
        assert machine.tick(point)
        assert len(machine.runs()) == number + (point in POINTS[POINTS.index("RUN_CREATED") :])
        if point in RESUMED:
            # The next tick may go on without a look at the journal: whoever came meanwhile is in the same queue.
            ids += ask_for(store, [f"{point.lower()}-meanwhile"])
        assert not machine.tick()
        assert len(machine.runs()) == number + 1, "no run was asked for, or two"
        machine.forks.begin(f"{machine.servers[-1][0]} dequeue")
        assert machine.forks.ended() == 0
        machine.succeeded(machine.runs()[-1])
        check_completed(store, ids)
        log.info(f"killed at {point}: {len(machine.runs())} runs of {len(ids)} sagas")
    assert not machine.tick()
    assert len(machine.runs()) == len(POINTS), "a run was asked for with nothing to do"


@pytest.mark.parametrize("and_server", [False, *([True] if FULL else [])])
def test_after_a_killed_daemon_what_a_killed_run_worker_held_is_gone_on_with_within_one_lease_and_one_tick(
    store: Store, postgres_url: str, machine: Machine, and_server: bool
) -> None:
    ids: list[str] = []
    groups = []
    for table in HELD_AT:
        groups.append(ask_for(store, [f"{table}-{one}" for one in range(2)]))
        ids += groups[-1]
        killed_and_gone_on_with(machine, postgres_url, table, and_server=and_server)
        check_completed(store, ids)
    for table, group in zip(HELD_AT, groups, strict=True):
        turn(store, group)
        assert directions(store) == {COMPENSATE}
        killed_and_gone_on_with(machine, postgres_url, table, and_server=and_server)
        assert {states(store)[one] for one in group} == {"compensated"}
    check_compensated(store, ids)


def killed_and_gone_on_with(machine: Machine, url: str, table: str, *, and_server: bool) -> None:
    """Kill a daemon that reserved a run, then its worker in the middle of a step; one tick asks for who goes on."""
    before = len(machine.runs())
    assert machine.tick(RESERVED)
    assert len(machine.runs()) == before, "killed elsewhere than meant"
    with closed(url, table):
        run = held_run(machine, table)
        machine.kill(run, and_server=and_server)
        assert leases_beyond(machine.store, LEASE_S) == 0
    # The database finds out that nobody is there to hear its answer.
    until(lambda: other_connections(machine.store.engine) == 0, "the killed worker is still connected")
    until_free(machine.store)
    if and_server:
        machine.serve()
    machine.finish()
    assert machine.now(run).status != dg.DagsterRunStatus.SUCCESS
    log.info(f"killed at {table}, with its code server: {and_server}; the run is {machine.now(run).status}")
    # Nobody else would end it: it would keep one of the four places for hours.
    assert machine.now(run).status == dg.DagsterRunStatus.FAILURE


def cancelled(machine: Machine, url: str, table: str) -> dg.DagsterRun:
    """Ask for a run and start it, cancel it in the middle of the step that writes a table; returns it when it ended."""
    with closed(url, table):
        run = held_run(machine, table)
        machine.stop(run)
    assert machine.ended(run).status == dg.DagsterRunStatus.CANCELED
    return run


def steps(store: Store) -> dict[tuple[str, str], str]:
    """Return the state of each step of each saga."""
    with store.read() as connection:
        rows = connection.execute(select(saga_steps.c.saga_id, saga_steps.c.step, saga_steps.c.state))
        return {(row.saga_id, row.step): row.state for row in rows}


def left(store: Store) -> tuple[set[tuple[str, int]], int, int]:
    """Return what goals there are, by state and version, how many planned steps and questions; nobody is locked."""
    with store.read() as connection:
        made = {(row.state, row.version) for row in connection.execute(select(goals.c.state, goals.c.version))}
        planned, asked, locked = (
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (goal_steps, relationship_questions, saga_locks)
        )
    assert locked == 0
    return made, planned, asked


@pytest.mark.skipif(not FULL, reason="starts a code server")
def test_a_run_that_is_cancelled_before_any_effect_leaves_nothing(
    store: Store, postgres_url: str, machine: Machine
) -> None:
    (one,) = ask_for(store, ["ana"])
    cancelled(machine, postgres_url, "goals")
    machine.finish()
    assert states(store) == {one: "cancelled"}
    assert set(steps(store).values()) == {"nothing_to_undo"}
    assert left(store) == (set(), 0, 0)


@pytest.mark.skipif(not FULL, reason="starts a code server")
def test_a_way_back_that_is_cancelled_at_any_step_ends_compensated(
    store: Store, postgres_url: str, machine: Machine, tmp_path: Path
) -> None:
    ids = ask_for(store, ["ana", "ben"])
    assert finish(postgres_url, FORWARD, tmp_path) == len(ids)
    turn(store, ids)
    for table in reversed(TABLES):
        cancelled(machine, postgres_url, table)
        assert set(states(store).values()) == {"compensating"}
    machine.finish()
    check_compensated(store, ids)


@pytest.mark.skipif(not FULL, reason="starts a code server")
def test_a_run_that_is_called_cancelled_while_its_worker_lives_changes_nothing_any_more(
    store: Store, postgres_url: str, machine: Machine
) -> None:
    (one,) = ask_for(store, ["ana"])
    with closed(postgres_url, "goal_steps"), ExitStack() as last:
        run = held_run(machine, "goal_steps")
        machine.instance.report_run_canceled(machine.now(run))
        last.enter_context(closed(postgres_url, "relationship_questions"))
        machine.forks.begin(f"{machine.servers[-1][0]} tick")
        # At the gate is the worker; its heartbeat and the tick wait for the row that it has locked.
        until(lambda: waiting_for_a_lock(store) == 3, "the tick does not come to the saga")
        keep = last.pop_all()
    with keep:
        assert machine.forks.ended() == 0
        assert directions(store) == {COMPENSATE}
    until(lambda: not psutil.pid_exists(machine.pid(run)), "the worker does not end")
    machine.forks.begin(f"{machine.servers[-1][0]} dequeue")
    assert machine.forks.ended() == 0
    machine.succeeded(machine.runs()[-1])
    assert states(store) == {one: "compensated"}
    assert steps(store) == {(one, "make_goal"): "undone", (one, "plan"): "undone", (one, "ask"): "nothing_to_undo"}
    assert not machine.tick()
    assert len(machine.runs()) == 2


def test_a_cancelled_run_is_a_wish_to_undo_and_a_cancelled_way_back_is_gone_on_with(
    store: Store, postgres_url: str, machine: Machine
) -> None:
    (one,) = ask_for(store, ["ana"])
    cancelled(machine, postgres_url, "goal_steps")
    # The tick that asks for the way back is the one that finds the run cancelled.
    cancelled(machine, postgres_url, "goals")
    assert directions(store) == {COMPENSATE}
    machine.finish()
    assert states(store) == {one: "compensated"}
    assert steps(store) == {
        (one, "make_goal"): "undone",
        (one, "plan"): "nothing_to_undo",
        (one, "ask"): "nothing_to_undo",
    }
    assert left(store) == ({("cancelled", 2)}, 0, 0)
    assert not machine.tick()
    assert len(machine.runs()) == 3
