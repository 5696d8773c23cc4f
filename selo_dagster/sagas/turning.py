"""What happens to a saga that cannot go on: it turns round before the pivot, and waits for a person after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.journal import Held, let_go, raise_alert, steps_of
from selo_dagster.sagas.states import COMPENSATE, COMPENSATING, IN_DOUBT, PARKED, StepState
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.traced import TURN, tell
from selo_dagster.store.types import database_now


def past_pivot(connection: Connection, saga: Saga, held: Held) -> bool:
    """Tell whether there is no way back any more; an unknown pivot counts as one that happened."""
    if saga.pivot is None:
        return False
    row = steps_of(connection, [held], [saga.pivot.name]).get((held.id, saga.pivot.name))
    outside = saga.pivot.outside
    return row is not None and (
        row.state == StepState.DONE or (outside and row.state in {StepState.RUNNING, StepState.UNKNOWN})
    )


def turn_round(connection: Connection, saga: Saga, held: Held, reason: str, error: dict[str, Any] | None) -> str:
    """Let a saga go back, or park it where it cannot; the alert is written with it. Returns its new state."""
    if past_pivot(connection, saga, held):
        return park(connection, held, reason, error, code="parked_after_pivot")
    let_go(
        connection,
        held,
        state=COMPENSATING,
        direction=COMPENSATE,
        reason=reason,
        error=error,
        next_attempt_at=None,
        waits_since=None,
        turned_at=database_now(),
    )
    raise_alert(connection, held, "failed", {"reason": reason, **(error or {})})
    tell(connection, TURN, [held], state=COMPENSATING, reason=reason, code=(error or {}).get("class"))
    return COMPENSATING


def park(connection: Connection, held: Held, reason: str, error: dict[str, Any] | None, *, code: str = "parked") -> str:
    """Let a saga wait for a person."""
    let_go(connection, held, state=PARKED, reason=reason, error=error, next_attempt_at=None)
    raise_alert(connection, held, code, {"reason": reason, **(error or {})})
    tell(connection, TURN, [held], state=PARKED, reason=reason, code=code)
    return PARKED


def doubt(connection: Connection, held: Held, error: dict[str, Any]) -> str:
    """Let a saga wait for a person who finds out whether an effect outside happened."""
    let_go(connection, held, state=IN_DOUBT, reason="in_doubt", error=error, next_attempt_at=None)
    raise_alert(connection, held, "in_doubt", error)
    tell(connection, TURN, [held], state=IN_DOUBT, reason="in_doubt", code=error.get("class"))
    return IN_DOUBT


def overdue(held: Held, now: datetime) -> bool:
    """Tell whether a saga's deadline has passed: while it waits for room or its model, no time passes for it."""
    return (held.waits_since or now) > held.deadline_at


def gone_on(connection: Connection, held: Held, now: datetime) -> None:
    """End a saga's wait for room or its model: its deadline moves by as long as it waited."""
    if held.waits_since is not None:
        waited = max(timedelta(0), now - held.waits_since)
        connection.execute(
            update(sagas).where(sagas.c.id == held.id).values(deadline_at=held.deadline_at + waited, waits_since=None)
        )
