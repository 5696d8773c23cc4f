"""Sagas for tests that kill: asks for them, runs workers, and says what must hold whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select

from selo_dagster.clock import SystemClock
from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.start import start
from selo_dagster.sagas.tables import saga_attempts, saga_locks, saga_steps, sagas
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.crash.processes import DEADLINE_S, ROOT, Worker, until
from tests.crash.stream import Forks
from tests.sagas.kit_cases import add_reflection
from tests.support.fakes import add_person

GOAL = "goal_creation"
NOTICE = "companion_notice"
STEPS = 3
GOAL_INPUT = {
    "title": "Learn to swim",
    "description": "By the sea",
    "origin": "test",
    "steps": ["Buy goggles", "Go to the pool", "Ask a friend"],
}


def ask_for(store: Store, people: Iterable[str], name: str = GOAL, given: Any = None) -> list[str]:
    """Ask for one saga of each of some new people; returns their ids in the order of the queue."""
    ids = []
    for user_id in people:
        add_person(store, user_id)
        ids.append(_start(store, user_id, name, given or GOAL_INPUT))
    return ids


def ask_for_notices(store: Store, people: Iterable[str]) -> list[str]:
    """Ask for a notice of one reflection of each of some new people; returns the sagas' ids in the queue's order."""
    ids = []
    for user_id in people:
        add_person(store, user_id)
        add_reflection(store, user_id, user_id)
        ids.append(_start(store, user_id, NOTICE, {"reflection_id": user_id}))
    return ids


def _start(store: Store, user_id: str, name: str, given: Any) -> str:
    with store.write() as connection:
        started = start(
            connection,
            registry().type(name),
            user_id=user_id,
            key="k",
            given=given,
            now=SystemClock().now(),
            new_id=lambda: uuid4().hex,
        )
    return started.id


def turn(store: Store, ids: Iterable[str]) -> None:
    """Wish that completed sagas are undone."""
    with store.write() as connection:
        known = registry()
        desk = Desk(connection, SystemClock().now(), lambda name, version: known.by_version[name, version], "t", "test")
        for saga_id in ids:
            desk.compensate(saga_id)


@contextmanager
def saga_worker(
    url: str, direction: str, *options: str, name: str = GOAL, folder: Path, environ: dict[str, str] | None = None
) -> Iterator[Worker]:
    """Run a worker in a process group of its own, which is killed at the end."""
    run_id = uuid4().hex
    arguments = ["saga_worker", url, name, direction, run_id, *options]
    with _process(arguments, folder / f"{run_id}.err", environ) as worker:
        yield worker


@contextmanager
def saga_daemon(folder: Path, environ: dict[str, str]) -> Iterator[Forks]:
    """Run a `saga_ticks` that is loading, in a process group of its own, which is killed at the end."""
    with _process(["saga_ticks"], folder / "ticks.err", environ) as worker:
        yield Forks(worker)


@contextmanager
def _process(arguments: Sequence[str], errors: Path, environ: dict[str, str] | None) -> Iterator[Worker]:
    module, *rest = arguments
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.crash.{module}", *rest],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            stderr=sink,
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
    with process:
        try:
            yield Worker(process, errors)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)


def died(worker: Worker) -> bool:
    """Wait for the end of a worker; tells whether it was killed."""
    status = worker.process.wait(DEADLINE_S)
    assert status in {0, -signal.SIGKILL}, worker.errors.read_text()[-3000:]
    return status != 0


def until_free(store: Store) -> None:
    """Wait until no lease holds any more, by the database's clock."""

    def free() -> bool:
        with store.read() as connection:
            held = select(func.count()).select_from(sagas).where(sagas.c.lease_until >= database_now())
            return not connection.execute(held).scalar_one()

    until(free, "leases of workers that are gone still hold")


def finish(url: str, direction: str, folder: Path, *, name: str = GOAL, environ: dict[str, str] | None = None) -> int:
    """Let an undisturbed worker do what is left; returns how many sagas it brought to an end."""
    with saga_worker(url, direction, name=name, folder=folder, environ=environ) as worker:
        worker.said("READY")
        return int(worker.said("ENDED"))


def states(store: Store) -> dict[str, str]:
    """Return each saga's state."""
    with store.read() as connection:
        return {row.id: row.state for row in connection.execute(select(sagas.c.id, sagas.c.state))}


def check_completed(store: Store, ids: Sequence[str]) -> None:
    """Each saga is completed, each effect is there once, nobody is locked."""
    assert states(store) == dict.fromkeys(ids, "completed")
    with store.read() as connection:
        made = list(connection.execute(select(func.count()).select_from(goals).group_by(goals.c.user_id)).scalars())
        planned = connection.execute(select(func.count()).select_from(goal_steps)).scalar_one()
        asked = connection.execute(select(func.count()).select_from(relationship_questions)).scalar_one()
        steps = connection.execute(select(saga_steps.c.state, saga_steps.c.attempts)).all()
        failed = connection.execute(select(func.count()).select_from(saga_attempts)).scalar_one()
        locked = connection.execute(select(func.count()).select_from(saga_locks)).scalar_one()
    assert made == [1] * len(ids)
    assert (planned, asked) == (len(GOAL_INPUT["steps"]) * len(ids), len(ids))
    assert [tuple(one) for one in steps] == [("done", 1)] * (STEPS * len(ids))
    assert (failed, locked) == (0, 0)


def check_compensated(store: Store, ids: Sequence[str]) -> None:
    """Each saga is compensated, each effect undone once, nobody is locked."""
    assert states(store) == dict.fromkeys(ids, "compensated")
    with store.read() as connection:
        left = {(row.state, row.version) for row in connection.execute(select(goals.c.state, goals.c.version))}
        planned = set(connection.execute(select(goal_steps.c.state)).scalars())
        asked = connection.execute(select(func.count()).select_from(relationship_questions)).scalar_one()
        steps = connection.execute(select(saga_steps.c.state, saga_steps.c.undo_attempts)).all()
        locked = connection.execute(select(func.count()).select_from(saga_locks)).scalar_one()
    assert (left, planned, asked, locked) == ({("cancelled", 2)}, {"cancelled"}, 0, 0)
    assert [tuple(one) for one in steps] == [("undone", 1)] * (STEPS * len(ids))
