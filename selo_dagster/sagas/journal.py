"""The journal's rows inside a fenced transaction: who holds what, what each step has come to."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from selo_dagster.sagas.states import COMPENSATE, COMPENSATING, ENDED, FORWARD, RUNNING
from selo_dagster.sagas.tables import saga_alerts, saga_attempts, saga_locks, saga_steps, sagas
from selo_dagster.store.types import database_now
from selo_dagster.store.upsert import insert_missing, insert_or_update

Token = tuple[str, int]
"""A saga's id and the epoch under which it was claimed: what is passed from op to op."""

HELD_STATE = {FORWARD: RUNNING, COMPENSATE: COMPENSATING}


@dataclass(frozen=True)
class Held:
    """A saga that this transaction holds: its row is locked, and the claim still stands.

    waits_since: for room in a budget or for its model, None where it does not; at: the database's now.
    """

    id: str
    user_id: str
    epoch: int
    generation: int
    input: dict[str, Any]
    created_at: datetime
    deadline_at: datetime
    cancel_requested: bool
    waits_since: datetime | None = None
    at: datetime | None = None

    @property
    def token(self) -> Token:
        """Its token."""
        return self.id, self.epoch


_HELD = (
    *(
        sagas.c[name]
        for name in (
            "id",
            "user_id",
            "epoch",
            "generation",
            "input",
            "created_at",
            "deadline_at",
            "cancel_requested",
            "waits_since",
        )
    ),
    database_now().label("at"),
)


def fence(connection: Connection, tokens: Sequence[Token], direction: str, run_id: str) -> list[Held]:
    """Lock the rows of these claims, in the order of their ids; returns those that still stand.

    Whoever was taken over, cancelled or turned round meanwhile is left out. Nobody else writes a saga's steps
    while this transaction lasts. R4, R10.
    """
    if not tokens:
        return []
    rows = connection.execute(
        select(*_HELD)
        .where(
            tuple_(sagas.c.id, sagas.c.epoch).in_(sorted(tokens)),
            sagas.c.direction == direction,
            sagas.c.state == HELD_STATE[direction],
            sagas.c.run_id == run_id,
            sagas.c.lease_until.is_not(None),
        )
        .order_by(sagas.c.id)
        .with_for_update()
    )
    return [Held(*row) for row in rows]


def steps_of(connection: Connection, held: Iterable[Held], names: Iterable[str]) -> dict[tuple[str, str], Any]:
    """Return the rows of some steps of the present generation, by (saga, step)."""
    keys = sorted((one.id, one.generation) for one in held)
    if not keys:
        return {}
    rows = connection.execute(
        select(saga_steps).where(
            tuple_(saga_steps.c.saga_id, saga_steps.c.generation).in_(keys), saga_steps.c.step.in_(sorted(names))
        )
    )
    return {(row.saga_id, row.step): row for row in rows}


STEP_DEFAULTS: Mapping[str, Any] = {
    "output": None,
    "undo": None,
    "effects": None,
    "attempts": 0,
    "undo_attempts": 0,
    "error": None,
    "began_at": None,
    "done_at": None,
    "undone_at": None,
    "seconds": None,
    "undo_seconds": None,
}


def step_row(held: Held, step: str, before: Any, **changes: Any) -> dict[str, Any]:
    """Return a step's row with some columns changed, all others as they were."""
    row = {name: getattr(before, name, default) for name, default in STEP_DEFAULTS.items()}
    return {
        "saga_id": held.id,
        "generation": held.generation,
        "step": step,
        "epoch": held.epoch,
        **row,
        **changes,
    }


def write_steps(connection: Connection, rows: Sequence[dict[str, Any]], known: Container[tuple[str, str]]) -> None:
    """Store steps' rows; the caller holds their sagas."""
    new = [row for row in rows if (row["saga_id"], row["step"]) not in known]
    if new:
        connection.execute(insert(saga_steps), new)
    insert_or_update(connection, saga_steps, [row for row in rows if (row["saga_id"], row["step"]) in known])


def note_progress(connection: Connection, ids: Sequence[str]) -> None:
    """Remember that a claim came further: it is not one of those that kill whoever takes them."""
    if ids:
        connection.execute(
            update(sagas)
            .where(sagas.c.id.in_(sorted(ids)), ~sagas.c.progressed)
            .values(progressed=True, lost=0, changed_at=database_now())
        )


def note_attempts(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Remember tries that did not end well."""
    if rows:
        connection.execute(insert(saga_attempts), list(rows))


def raise_alert(connection: Connection, held: Held, code: str, detail: dict[str, Any]) -> bool:
    """Leave an alert with the change of state that it is about; the same one is left once. False: it was there."""
    added = insert_missing(
        connection,
        saga_alerts,
        [
            {
                "saga_id": held.id,
                "code": code,
                "generation": held.generation,
                "epoch": held.epoch,
                "detail": detail,
            }
        ],
    )
    return bool(added)


def end(connection: Connection, held: Held, state: str, now: datetime, **changes: Any) -> None:
    """End a saga: nobody holds it, the person's next one may begin, its alerts are settled."""
    assert state in ENDED, state  # noqa: S101 - a state that does not end must not free the person
    connection.execute(
        update(sagas)
        .where(sagas.c.id == held.id)
        .values(
            state=state,
            ended_at=now,
            shown_by=None,
            lease_until=None,
            next_attempt_at=None,
            waits_since=None,
            changed_at=database_now(),
            **changes,
        )
    )
    connection.execute(delete(saga_locks).where(saga_locks.c.saga_id == held.id))
    connection.execute(
        update(saga_alerts)
        .where(saga_alerts.c.saga_id == held.id, saga_alerts.c.resolved_at.is_(None))
        .values(resolved_at=database_now())
    )


def complete(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """End many sagas that are done, in three statements."""
    if not ids:
        return
    connection.execute(
        update(sagas)
        .where(sagas.c.id.in_(sorted(ids)))
        .values(
            state="completed",
            ended_at=now,
            shown_by=None,
            lease_until=None,
            next_attempt_at=None,
            reason=None,
            error=None,
            changed_at=database_now(),
        )
    )
    connection.execute(delete(saga_locks).where(saga_locks.c.saga_id.in_(sorted(ids))))
    connection.execute(
        update(saga_alerts)
        .where(saga_alerts.c.saga_id.in_(sorted(ids)), saga_alerts.c.resolved_at.is_(None))
        .values(resolved_at=database_now())
    )


def let_go(connection: Connection, held: Held, **changes: Any) -> None:
    """Give up a claim and change the saga."""
    connection.execute(
        update(sagas).where(sagas.c.id == held.id).values(lease_until=None, changed_at=database_now(), **changes)
    )
