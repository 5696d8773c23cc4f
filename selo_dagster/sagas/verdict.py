"""What a saga that went back has come to: undone only if each step says so, else what is left. R8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.engine import Tools, chunks
from selo_dagster.sagas.journal import Held, Token, end, fence, let_go, raise_alert, steps_of
from selo_dagster.sagas.states import (
    CANCELLED,
    COMPENSATE,
    COMPENSATED,
    COMPENSATING,
    COMPENSATION_INCOMPLETE,
    NOTHING_TO_UNDO,
    UNDO_SETTLED,
    StepState,
)
from selo_dagster.sagas.tables import sagas
from selo_dagster.sagas.traced import tell
from selo_dagster.sagas.undoing import spent

LOOK_AGAIN: Final = timedelta(seconds=1)


def verdict(tools: Tools, saga: Saga, tokens: Sequence[Token], run_id: str) -> Counter[str]:
    """Say of everybody of a cohort what the way back came to; returns the number of each state."""
    found: Counter[str] = Counter()
    for part in chunks(tokens, tools.chunk):
        with tools.store.write() as connection:
            held = fence(connection, part, COMPENSATE, run_id)
            known = steps_of(connection, held, {step.name for step in saga.steps})
            for one in held:
                rows = {step.name: known.get((one.id, step.name)) for step in saga.steps}
                state = _judge(connection, saga, one, rows, tools.clock.now())
                found[state] += 1
                tell(connection, "selo.saga.settle", [one], type=saga.name, state=state, run=run_id)
    return found


def _judge(connection: Connection, saga: Saga, one: Held, rows: dict[str, Any], now: datetime) -> str:
    left = [name for name, row in rows.items() if row is None or row.state not in UNDO_SETTLED]
    if not left:
        undone = any(row.state in {StepState.UNDONE, StepState.WAIVED} for row in rows.values())
        state = COMPENSATED if undone else CANCELLED if one.cancel_requested else NOTHING_TO_UNDO
        end(connection, one, state, now)
        return state
    if _may_go_on(saga, rows, left):
        at = connection.execute(select(sagas.c.next_attempt_at).where(sagas.c.id == one.id)).scalar()
        let_go(connection, one, state=COMPENSATING, next_attempt_at=at or now + LOOK_AGAIN)
        return COMPENSATING
    before = connection.execute(select(sagas.c.error).where(sagas.c.id == one.id)).scalar()
    detail = {
        **(before or {}),
        "left": left,
        "steps": {name: None if rows[name] is None else rows[name].state for name in left},
    }
    let_go(connection, one, state=COMPENSATION_INCOMPLETE, reason="undo_failed", error=detail, next_attempt_at=None)
    raise_alert(connection, one, COMPENSATION_INCOMPLETE, detail)
    return COMPENSATION_INCOMPLETE


def _may_go_on(saga: Saga, rows: dict[str, Any], left: Sequence[str]) -> bool:
    """Tell whether some step of those that are left can still be undone by itself."""
    for name in left:
        waits_for_others = any(
            rows[other] is None or rows[other].state not in UNDO_SETTLED for other in saga.dependents(name)
        )
        undo = saga.step(name).compensation
        if not waits_for_others and not (undo is not None and spent(undo, rows[name])):
            return True
    return False
