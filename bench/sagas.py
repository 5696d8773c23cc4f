"""Sagas of three database effects on PostgreSQL: in a cohort, alone in a run, undone; beside DBOS Transact.

    python -m bench.sagas [--sagas 2000] [--alone 200] [--dbos 300]

The baseline, measured in the same run on the same server, is DBOS Transact doing the same SQL in three transaction
steps of one workflow (`make bench` installs it; without it that line is left out and said so).
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from random import Random
from uuid import uuid4

from sqlalchemy import func, insert, select

from bench.engine import database
from selo_dagster.clock import BEGINNING, SystemClock
from selo_dagster.people.goals import goals
from selo_dagster.people.tables import user_statements, users
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.catalogue.goal_creation import GOAL_CREATION
from selo_dagster.sagas.claim import claim
from selo_dagster.sagas.desk import Desk
from selo_dagster.sagas.engine import Tools
from selo_dagster.sagas.start import start
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.undo import undo_step
from selo_dagster.sagas.verdict import verdict
from selo_dagster.store.engine import Store
from tests.support.postgres import temporary_postgres

COHORT = 500
INPUT = {
    "title": "Learn to swim",
    "description": "By the sea, before the summer.",
    "origin": "bench",
    "steps": ["Buy goggles", "Go to the pool", "Ask a friend"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sagas", type=int, default=2_000)
    parser.add_argument("--alone", type=int, default=200)
    parser.add_argument("--dbos", type=int, default=300)
    given = parser.parse_args()
    with temporary_postgres(durable=True) as server, database(server, "sagas") as store:
        fill(store, given.sagas + given.alone)
        tools = Tools(store, SystemClock(), Random(1))  # noqa: S311 - no secret
        started = time.perf_counter()
        for number in range(given.sagas + given.alone):
            if number % COHORT == 0:
                ask(store, range(number, min(number + COHORT, given.sagas + given.alone)))
        asked = time.perf_counter() - started
        alone = forward(tools, given.alone, 1)
        cohort = forward(tools, given.sagas, COHORT)
        undone = back(tools, given.sagas)
        with store.read() as connection:
            made = connection.execute(select(func.count()).select_from(goals)).scalar_one()
        assert made == given.sagas + given.alone, made
        per_second = (given.sagas + given.alone) / asked
        print(f"sagas       three effects each, PostgreSQL, one process ({per_second:.0f} asked for a second)")
        print(f"  cohort    {given.sagas} in cohorts of {COHORT}: {given.sagas / cohort:.0f} a second")
        each = 1000 * alone / given.alone
        print(f"  alone     {given.alone} claimed one by one: {given.alone / alone:.0f} a second, {each:.1f} ms each")
        print(f"  undone    {given.sagas} with three undos each: {given.sagas / undone:.0f} a second")
        baseline(server, given.dbos, given.sagas / cohort)


def fill(store: Store, people: int) -> None:
    """Add people."""
    names = [f"u{number:06}" for number in range(people)]
    with store.write() as connection:
        for at in range(0, people, 5_000):
            part = names[at : at + 5_000]
            connection.execute(insert(users), [{"id": n, "key": n, "name": n, "zone": "UTC"} for n in part])
            connection.execute(
                insert(user_statements), [{"user_id": n, "since": BEGINNING, "name": n, "zone": "UTC"} for n in part]
            )


def ask(store: Store, numbers: range) -> None:
    """Ask for one saga of each of some people, in one transaction."""
    with store.write() as connection:
        for number in numbers:
            start(
                connection,
                GOAL_CREATION,
                user_id=f"u{number:06}",
                key="k",
                given=INPUT,
                now=SystemClock().now(),
                new_id=lambda: uuid4().hex,
            )


def forward(tools: Tools, number: int, cohort: int) -> float:
    """Claim and carry out sagas; returns seconds, claims included."""
    started, done = time.perf_counter(), 0
    while done < number:
        run_id = uuid4().hex
        with tools.store.write() as connection:
            tokens = claim(
                connection,
                GOAL_CREATION,
                FORWARD,
                run_id=run_id,
                now=tools.clock.now(),
                lease_s=30,
                limit=min(cohort, number - done),
            )
        for step in GOAL_CREATION.order:
            report = forward_step(tools, GOAL_CREATION, step, tokens, run_id)
            assert len(report.done) == len(tokens), report
        done += len(tokens)
    return time.perf_counter() - started


def back(tools: Tools, number: int) -> float:
    """Undo completed sagas in cohorts; returns seconds, claims included."""
    with tools.store.write() as connection:
        desk = Desk(connection, tools.clock.now(), lambda *_: GOAL_CREATION, "bench", "to measure it")
        ids = list(connection.execute(select(sagas.c.id).order_by(sagas.c.place.desc()).limit(number)).scalars())
        for saga_id in ids:
            desk.compensate(saga_id)
    started, done = time.perf_counter(), 0
    while done < number:
        run_id = uuid4().hex
        with tools.store.write() as connection:
            tokens = claim(
                connection,
                GOAL_CREATION,
                COMPENSATE,
                run_id=run_id,
                now=tools.clock.now(),
                lease_s=30,
                limit=COHORT,
            )
        for step in reversed(GOAL_CREATION.order):
            report = undo_step(tools, GOAL_CREATION, step, tokens, run_id)
            assert len(report.done) == len(tokens), report
        assert verdict(tools, GOAL_CREATION, tokens, run_id) == {"compensated": len(tokens)}
        done += len(tokens)
    return time.perf_counter() - started


def baseline(server: str, number: int, ours: float) -> None:
    """Let DBOS Transact do the same SQL, in a process of its own."""
    if importlib.util.find_spec("dbos") is None:
        print("  baseline  DBOS Transact is not installed: `make bench` installs it")
        return
    done = subprocess.run(
        [sys.executable, "-m", "bench.dbos_baseline", server, str(number)], capture_output=True, text=True, check=True
    )
    theirs = float(done.stdout.strip().splitlines()[-1])
    print(f"  baseline  DBOS Transact, {number} workflows of three transactions: {theirs:.0f} a second")
    print(f"  ratio     {ours / theirs:.1f} x as many in a cohort")


if __name__ == "__main__":
    main()
