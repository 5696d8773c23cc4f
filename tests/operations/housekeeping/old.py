"""A database in which something of every table is old, and something of it must stay."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, insert, select

import selo_dagster.definitions  # every room registers its tables
from selo_dagster.operations.alerts.tables import OPENED, alert_notices, alerts
from selo_dagster.operations.http.tables import idempotency_keys
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.tables import reflection_attempts, reflection_one_offs
from selo_dagster.sagas.tables import saga_alerts, saga_attempts, saga_definitions, saga_steps, sagas
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import job_runs
from tests.support.fakes import NOW, add_person

assert selo_dagster.definitions.defs is not None

LONG_AGO: Final = NOW - timedelta(days=1_000)
ON: Final = date(2024, 2, 27)
COST: Final = {"model_calls": 2, "input_tokens": 30, "output_tokens": 7, "seconds": 1.5}


def days_ago(days: int) -> datetime:
    """Return an instant."""
    return NOW - timedelta(days=days)


def obligation(kind: str, key: str, state: str = "done", *, at: datetime = LONG_AGO, **more: Any) -> dict[str, Any]:
    """Return an obligation of Ana's that was settled at an instant, and shown."""
    open_now = state in {"due", "failed", "rejected", "dead"}
    return {
        "user_id": "ana",
        "kind": kind,
        "on": ON,
        "key": key,
        "state": state,
        "since": at,
        "ready_at": at if state == "due" else None,
        "settled_at": None if open_now else at,
        "run_id": "run",
        "reported_by": "run",
        "cause": None,
        **COST,
    } | more


def enter(store: Store, *rows: dict[str, Any], attempts: int = 1) -> list[int]:
    """Write obligations, with old attempts each; returns their numbers."""
    found = []
    with store.write() as connection:
        for row in rows:
            (number,) = connection.execute(insert(ledger).values(**row).returning(ledger.c.id)).one()
            found.append(number)
            for turn in range(1, attempts + 1):
                connection.execute(
                    insert(reflection_attempts).values(
                        ledger_id=number,
                        epoch=turn,
                        number=turn,
                        run_id="run",
                        started_at=row["since"],
                        ended_at=row["since"],
                        outcome=row["state"],
                    )
                )
    return found


def saga(key: str, state: str = "completed", *, kind: str = "goal_creation", at: datetime = LONG_AGO) -> dict[str, Any]:
    """Return a saga of Ana's that ended at an instant."""
    return {
        "id": key,
        "type": kind,
        "version": 1,
        "fingerprint": "f",
        "user_id": "ana",
        "key": key,
        "input": {"title": "private"},
        "state": state,
        "direction": "forward",
        "created_at": at,
        "deadline_at": at,
        "ended_at": at if state in {"completed", "compensated", "cancelled"} else None,
    }


def enter_sagas(store: Store, *rows: dict[str, Any]) -> None:
    """Write sagas, each with a step, a failed try and a settled alert that are as old as they are."""
    with store.write() as connection:
        for row in rows:
            connection.execute(insert(sagas).values(**row))
            common = {"saga_id": row["id"], "generation": 1, "step": "plan", "epoch": 1}
            connection.execute(
                insert(saga_steps).values(**common, state="done", output={"said": "private"}, undo={"was": "private"})
            )
            at = row["created_at"]
            connection.execute(insert(saga_attempts).values(**common, direction="forward", outcome="failed", at=at))
            connection.execute(
                insert(saga_alerts).values(
                    saga_id=row["id"],
                    code="failed",
                    generation=1,
                    epoch=1,
                    detail={},
                    created_at=at,
                    delivered_at=at,
                    resolved_at=at,
                )
            )


def define(store: Store, kind: str, undo_days: int) -> None:
    """Remember a definition."""
    with store.write() as connection:
        connection.execute(
            insert(saga_definitions).values(type=kind, version=1, fingerprint="f", document={"undo_days": undo_days})
        )


def one_off(key: str, state: str, at: datetime = LONG_AGO) -> dict[str, Any]:
    """Return a one-off of Ana's."""
    placed = at if state == "placed" else None
    common = {"user_id": "ana", "kind": "one_off", "cause": {"rule": "asked"}, "created_at": at}
    return {"id": key, "due_at": at, "state": state, "placed_at": placed, **common}


def fill(store: Store) -> None:
    """Write something old of every group, and beside it what has to stay."""
    add_person(store, "ana")
    define(store, "goal_creation", 30)
    enter(store, obligation("triggered", "t1"), obligation("adaptive", "a1", "unchanged"), attempts=2)
    enter(store, obligation("daily", ON.isoformat()), obligation("triggered", "t2", at=days_ago(10)))
    enter_sagas(store, saga("s1"), saga("s2", "compensated"), saga("s3", "parked"))
    with store.write() as connection:
        connection.execute(insert(reflection_one_offs), [one_off("o1", "placed"), one_off("o2", "waiting")])
        for number, (over, told) in enumerate(((LONG_AGO, LONG_AGO), (None, None), (LONG_AGO, None))):
            connection.execute(
                insert(alerts).values(
                    id=number + 1,
                    code="overdue",
                    subject=f"k{number}",
                    message="m",
                    opened_at=LONG_AGO,
                    resolved_at=over,
                )
            )
            connection.execute(
                insert(alert_notices).values(
                    alert_id=number + 1, what=OPENED, message="m", reached=[], delivered_at=told, created_at=LONG_AGO
                )
            )
        connection.execute(
            insert(job_runs),
            [
                {"run_id": f"r{number}", "job": "daily", "started_at": at, "finished_at": at}
                for number, at in enumerate((LONG_AGO, days_ago(900), days_ago(800)))
            ],
        )
        for key, at in (("k1", LONG_AGO), ("k2", NOW)):
            connection.execute(
                insert(idempotency_keys).values(caller="c", key=key, request="r", status=200, answer={}, created_at=at)
            )


def rows(store: Store) -> dict[str, int]:
    """Return the number of rows of every table that has some."""
    with store.read() as connection:
        counted = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
    return {name: number for name, number in counted.items() if number}


def everything(store: Store) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with store.read() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns)).all()
            ]
            for table in metadata.sorted_tables
        }
