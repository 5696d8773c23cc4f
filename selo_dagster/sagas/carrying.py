"""What every way of carrying out a step shares: what it is given, its row when it is done or has failed, the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, func, select

from selo_dagster.sagas.definition import CHANGING, Saga, Step
from selo_dagster.sagas.documents import is_document
from selo_dagster.sagas.engine import Report, Tools, chunks, token_text, wait_until
from selo_dagster.sagas.faults import Fault
from selo_dagster.sagas.given import Done, Given
from selo_dagster.sagas.journal import Held, Token, complete, fence, let_go, step_row
from selo_dagster.sagas.paying import NO_ROOM
from selo_dagster.sagas.states import COMPLETED, FORWARD, WAITING, StepState
from selo_dagster.sagas.tables import saga_steps
from selo_dagster.sagas.traced import tell


def finish(connection: Connection, saga: Saga, step: Step, held: Sequence[Held], now: datetime) -> None:
    """End the sagas of which this was the last step, in the transaction of the step itself."""
    if not held or step.name not in saga.sinks:
        return
    if len(saga.sinks) == 1:
        _completed(connection, saga, held, now)
        return
    counted = connection.execute(
        select(saga_steps.c.saga_id, saga_steps.c.generation, func.count().label("n"))
        .where(saga_steps.c.saga_id.in_([one.id for one in held]), saga_steps.c.state == StepState.DONE)
        .group_by(saga_steps.c.saga_id, saga_steps.c.generation)
    )
    full = {(row.saga_id, row.generation) for row in counted if row.n == len(saga.steps)}
    _completed(connection, saga, [one for one in held if (one.id, one.generation) in full], now)


def _completed(connection: Connection, saga: Saga, held: Sequence[Held], now: datetime) -> None:
    complete(connection, [one.id for one in held], now)
    tell(connection, "selo.saga.settle", held, type=saga.name, state=COMPLETED)


def given_to(saga: Saga, step: Step, one: Held, now: datetime, connection: Connection | None) -> Given:
    """Return what an action is given."""
    return Given(
        saga_id=one.id,
        saga=saga.name,
        user_id=one.user_id,
        step=step.name,
        generation=one.generation,
        token=token_text(one.id, one.generation, step.name, FORWARD),
        now=now,
        _connection=connection,
    )


class InputError(Exception):
    """What earlier steps left is not what a step takes."""


def input_of(step: Step, one: Held, known: Mapping[tuple[str, str], Any]) -> BaseModel:
    """Return a step's input from the saga's and from what earlier steps left. Raises InputError."""
    fields = {}
    for name, source in step.takes.items():
        place, _, field_name = source.partition(".")
        if place == "input":
            document = one.input
        else:
            row = known.get((one.id, place))
            if row is None or row.state != StepState.DONE:
                raise InputError(f"{step.name} takes from {place}, which is not done")
            document = row.output or {}
        if field_name in document:
            fields[name] = document[field_name]
    try:
        return step.input.model_validate(fields)
    except ValidationError as refused:
        raise InputError(f"{step.name} does not take what it is given") from refused


class AnswerError(Exception):
    """An action answered something else than it declared."""


def done_row(one: Held, step: Step, before: Any, answer: Any) -> dict[str, Any]:
    """Return the row of a step that is done. Raises AnswerError for an answer of another kind than declared."""
    done = answer if isinstance(answer, Done) else Done(answer)
    if not isinstance(done.output, step.output):
        raise AnswerError(f"{step.name} answered {type(done.output).__name__} instead of {step.output.__name__}")
    if step.records is not None and not isinstance(done.undo, step.records):
        raise AnswerError(f"{step.name} recorded {type(done.undo).__name__} instead of {step.records.__name__}")
    if step.kind not in CHANGING and (done.undo is not None or done.effects):
        raise AnswerError(f"{step.name} is a {step.kind} step and reports effects")
    kept = {
        "output": done.output.model_dump(mode="json"),
        "undo": None if done.undo is None else done.undo.model_dump(mode="json"),
        "effects": [[effect.target, effect.before, effect.after] for effect in done.effects] or None,
    }
    if not is_document(kept):
        raise AnswerError(f"{step.name} answered something that the journal cannot keep")
    return step_row(
        one,
        step.name,
        before,
        state=StepState.DONE,
        **kept,
        attempts=(0 if before is None else before.attempts) + 1,
        error=None,
        done_at=one.at,
    )


def failed_row(
    tools: Tools, one: Held, step: Step, before: Any, fault: Fault, now: datetime, run_id: str, seconds: float
) -> tuple[dict[str, Any], dict[str, Any], datetime | None]:
    """Return the row of a step that failed, its attempt, and when it may be tried again; None: never."""
    attempts = (0 if before is None else before.attempts) + 1
    again = fault.meaning == "transient" and attempts < step.retry.attempts
    state = StepState.PENDING if again else StepState.REFUSED if fault.meaning == "refused" else StepState.FAILED
    # Sticky: a later try that was answered does not call an earlier one back.
    unheard = {"unheard": True} if before is not None and (before.error or {}).get("unheard") else {}
    error = fault.as_json(step.name) | unheard | ({} if again or fault.meaning != "transient" else {"budget": attempts})
    row = step_row(one, step.name, before, state=state, attempts=attempts, error=error)
    attempt = {
        "saga_id": one.id,
        "generation": one.generation,
        "step": step.name,
        "direction": FORWARD,
        "epoch": one.epoch,
        "run_id": run_id,
        "outcome": fault.meaning,
        "error": error,
        "seconds": seconds,
    }
    return row, attempt, wait_until(now, step.retry, attempts, tools.random) if again else None


def turned_row(one: Held, step: Step, run_id: str, code: str) -> dict[str, Any]:
    """Return the attempt of a saga that turns round before a step was even tried."""
    return {
        "saga_id": one.id,
        "generation": one.generation,
        "step": step.name,
        "direction": FORWARD,
        "epoch": one.epoch,
        "run_id": run_id,
        "outcome": "not_begun",
        "error": {"step": step.name, "class": code},
        "seconds": None,
    }


def put_off(tools: Tools, tokens: Sequence[Token], run_id: str, report: Report) -> int:
    """Let sagas that failed for a passing reason wait outside of this run; returns how many.

    A wait for what others have to give begins now, unless it had begun before.
    """
    now = tools.clock.now()
    count = 0
    at = report.passing
    for part in chunks([token for token in tokens if token[0] in at], tools.chunk):
        with tools.store.write() as connection:
            for one in fence(connection, part, FORWARD, run_id):
                reason = NO_ROOM if one.id in report.no_room else "retry"
                since = (one.waits_since or now) if one.id in report.held_up else one.waits_since
                let_go(connection, one, state=WAITING, next_attempt_at=at[one.id], reason=reason, waits_since=since)
                count += 1
    return count
