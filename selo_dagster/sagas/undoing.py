"""What every way of undoing a step shares: whether it is its turn, what it needs, its row afterwards. R3, R8."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, update

from selo_dagster.sagas.carrying import given_to
from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.engine import Report, Tools, token_text, wait_until
from selo_dagster.sagas.given import Given, RefusedError
from selo_dagster.sagas.journal import Held, step_row
from selo_dagster.sagas.states import COMPENSATE, UNDO_SETTLED, StepState
from selo_dagster.sagas.tables import sagas


def eligible(saga: Saga, step: Step, one: Held, known: dict[tuple[str, str], Any]) -> bool:
    """Tell whether everything that rests on a step is undone."""
    for name in saga.dependents(step.name):
        row = known.get((one.id, name))
        # A step that nobody ever began has no row, and its own op leaves one before this one's turn.
        if row is None or row.state not in UNDO_SETTLED:
            return False
    return True


def settled_without_undo(step: Step, before: Any) -> bool:
    """Tell whether a step needs no undo: it never changed anything, or says why there is no way."""
    if step.compensation is None or before is None:
        return True
    if step.outside and (before.error or {}).get("unheard"):
        # Something was sent and never answered: it may be worked off yet, whatever a probe said.
        return False
    if before.state in {StepState.PENDING, StepState.REFUSED, StepState.FAILED}:
        return True
    # In the database a step that has not committed has not happened.
    return not step.outside and before.state in {StepState.RUNNING, StepState.UNKNOWN}


def spent(undo: Compensation, before: Any) -> bool:
    """Tell whether an undo has had all its tries."""
    return before is not None and before.undo_attempts >= undo.retry.attempts


def undo_given(
    saga: Saga, step: Step, one: Held, now: datetime, connection: Connection | None, *, may_be_absent: bool = False
) -> Given:
    """Return what an undo is given: its own token and the one of what it undoes. R6."""
    return Given(
        saga_id=one.id,
        saga=saga.name,
        user_id=one.user_id,
        step=step.name,
        generation=one.generation,
        token=token_text(one.id, one.generation, step.name, COMPENSATE),
        now=now,
        forward_token=given_to(saga, step, one, now, None).token,
        may_be_absent=may_be_absent,
        _connection=connection,
    )


def recorded(undo: Compensation, before: Any) -> BaseModel | None:
    """Return what a step left for its undo, as that accepts it; None where nothing was left."""
    if before is None or before.undo is None:
        return None
    document = before.undo
    if undo.accepts.model_config.get("extra") != "forbid":
        return undo.accepts.model_validate(document)
    return undo.accepts.model_validate({name: document[name] for name in undo.accepts.model_fields if name in document})


def settled_row(step: Step, one: Held, before: Any) -> dict[str, Any]:
    """Return the row of a step that needs no undo: the barrier at which a late try finds out and rolls back.

    An effect that is done and says why there is no way back stays, and is called waived: its definition says so.
    """
    stays = step.irreversible is not None and before is not None and before.state == StepState.DONE
    state = StepState.WAIVED if stays else StepState.NOTHING_TO_UNDO
    return step_row(one, step.name, before, state=state, undone_at=one.at)


def undone_row(step: Step, one: Held, before: Any, seconds: float, *, absent: bool = False) -> dict[str, Any]:
    """Return the row of a step that is undone; absent: its effect was found not to be there."""
    return step_row(
        one,
        step.name,
        before,
        state=StepState.NOTHING_TO_UNDO if absent else StepState.UNDONE,
        undone_at=one.at,
        undo_attempts=before.undo_attempts + 1,
        undo_seconds=seconds,
        error=None,
    )


def failed_undo(
    tools: Tools,
    step: Step,
    undo: Compensation,
    one: Held,
    before: Any,
    broken: Exception,
    now: datetime,
    run_id: str,
    seconds: float,
) -> tuple[dict[str, Any], dict[str, Any], datetime | None]:
    """Return the row of a step whose undo failed, its attempt, and when to try again; None: a person has to look."""
    # What is refused stays refused: a person decides, without waiting for the rest of the tries.
    tries = undo.retry.attempts if isinstance(broken, RefusedError) else before.undo_attempts + 1
    error = {"step": step.name, "class": type(broken).__name__, "direction": COMPENSATE}
    row = step_row(one, step.name, before, state=StepState.UNDOING, undo_attempts=tries, error=error)
    attempt = {
        "saga_id": one.id,
        "generation": one.generation,
        "step": step.name,
        "direction": COMPENSATE,
        "epoch": one.epoch,
        "run_id": run_id,
        "outcome": "failed",
        "error": error,
        "seconds": seconds,
    }
    at = wait_until(now, undo.retry, tries, tools.random) if tries < undo.retry.attempts else None
    return row, attempt, at


def note_wait(connection: Connection, report: Report, one: Held, at: datetime | None, code: str) -> None:
    """Remember when an undo is tried again, in the saga's row as well: the verdict lets it go until then."""
    if at is None:
        report.broken[one.id] = code
        return
    report.passing[one.id] = at
    connection.execute(update(sagas).where(sagas.c.id == one.id).values(next_attempt_at=at))
