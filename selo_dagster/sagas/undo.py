"""One step back for a cohort: what was done is undone, what never was is marked, what rests on it waits. R3, R8."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, update

from selo_dagster.sagas.carrying import given_to
from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.engine import OUTSIDE_AT_ONCE, Report, Tools, chunks, limit_statements, token_text, wait_until
from selo_dagster.sagas.faults import lost_connection
from selo_dagster.sagas.given import Given, Probed, RefusedError
from selo_dagster.sagas.journal import Held, Token, fence, note_attempts, note_progress, step_row, steps_of, write_steps
from selo_dagster.sagas.states import COMPENSATE, UNDO_SETTLED, StepState
from selo_dagster.sagas.tables import sagas


def undo_step(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str) -> Report:
    """Undo a step for everybody of a cohort, as far as nothing that rests on it is still there.

    Report: done were undone; again need nothing (never done, nothing to undo, settled before); passing wait for
    another try; broken wait for a person, or for what rests on the step.
    """
    started = tools.monotonic()
    report = Report()
    if step.outside and step.compensation is not None:
        _undo_outside(tools, saga, step, tokens, run_id, report)
    else:
        for part in chunks(tokens, tools.chunk):
            with tools.store.write() as connection:
                _Chunk(tools, saga, step, run_id, report, connection).work(part)
    report.seconds = tools.monotonic() - started
    return report


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
    if step.compensation is None:
        return True
    if before is None:
        return True
    if before.state in {StepState.PENDING, StepState.REFUSED, StepState.FAILED}:
        return True
    # In the database a step that has not committed has not happened.
    return not step.outside and before.state in {StepState.RUNNING, StepState.UNKNOWN}


def spent(undo: Compensation, before: Any) -> bool:
    """Tell whether an undo has had all its tries."""
    return before is not None and before.undo_attempts >= undo.retry.attempts


@dataclass
class _Chunk:
    """One transaction."""

    tools: Tools
    saga: Saga
    step: Step
    run_id: str
    report: Report
    connection: Connection
    rows: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def work(self, tokens: Sequence[Token]) -> None:
        now = self.tools.clock.now()
        held = fence(self.connection, tokens, COMPENSATE, self.run_id)
        self.report.lost += len(tokens) - len(held)
        known = steps_of(self.connection, held, {self.step.name, *self.saga.dependents(self.step.name)})
        undo = self.step.compensation
        if undo is not None:
            limit_statements(self.connection, undo.timeout_s)
        for one in held:
            before = known.get((one.id, self.step.name))
            if before is not None and before.state in UNDO_SETTLED:
                self.report.again.append(one.id)
            elif not eligible(self.saga, self.step, one, known):
                self.report.broken[one.id] = "blocked"
            elif undo is None or settled_without_undo(self.step, before):
                # The barrier of a step that never was: a late try finds it and rolls back.
                self.rows.append(
                    step_row(one, self.step.name, before, state=StepState.NOTHING_TO_UNDO, undone_at=one.at)
                )
                self.report.again.append(one.id)
            elif spent(undo, before):
                self.report.broken[one.id] = "undo_spent"
            else:
                self._try(one, undo, before, now)
        write_steps(self.connection, self.rows, known)
        note_attempts(self.connection, self.attempts)
        note_progress(self.connection, self.report.done)

    def _try(self, one: Held, undo: Compensation, before: Any, now: datetime) -> None:
        began = self.tools.monotonic()
        savepoint = self.connection.begin_nested()
        try:
            undo.handler(undo_given(self.saga, self.step, one, now, self.connection), recorded(undo, before))
            savepoint.commit()
        except Exception as broken:
            if lost_connection(broken):
                raise
            savepoint.rollback()
            row, attempt, at = failed_undo(
                self.tools, self.step, undo, one, before, broken, now, self.run_id, self.tools.monotonic() - began
            )
            self.rows.append(row)
            self.attempts.append(attempt)
            note_wait(self.connection, self.report, one, at, type(broken).__name__)
        else:
            seconds = self.tools.monotonic() - began
            self.rows.append(undone_row(self.step, one, before, seconds))
            self.report.done.append(one.id)


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


def undone_row(step: Step, one: Held, before: Any, seconds: float) -> dict[str, Any]:
    """Return the row of a step that is undone."""
    return step_row(
        one,
        step.name,
        before,
        state=StepState.UNDONE,
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


def _undo_outside(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str, report: Report) -> None:
    with (
        ThreadPoolExecutor(OUTSIDE_AT_ONCE, thread_name_prefix="selo-saga") as at_once,
        ThreadPoolExecutor(OUTSIDE_AT_ONCE * 2, thread_name_prefix="selo-call") as calls,
    ):
        work = _OutsideUndo(tools, saga, step, run_id, report, calls)
        for future in [at_once.submit(work.one, token) for token in sorted(tokens)]:
            future.result()
        calls.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _OutsideUndo:
    """Undoes an effect outside the database: intent first, then the call, then the result."""

    tools: Tools
    saga: Saga
    step: Step
    run_id: str
    report: Report
    calls: ThreadPoolExecutor

    def one(self, token: Token) -> None:
        undo = self.step.compensation
        assert undo is not None  # noqa: S101 - asked before
        begun = self._begin(token, undo)
        if begun is None:
            return
        held, before, unknown = begun
        now = self.tools.clock.now()
        began = self.tools.monotonic()
        broken: Exception | None = None
        try:
            there, left = (
                self._whether_it_is_there(held, before, undo, now) if unknown else (True, recorded(undo, before))
            )
            if there:
                given = undo_given(self.saga, self.step, held, now, None, may_be_absent=unknown and left is None)
                self._call(undo.timeout_s, undo.handler, given, left)
        except Exception as failed:  # noqa: BLE001 - one saga's failure is its own
            broken = failed
        self._settle(token, before, broken, self.tools.monotonic() - began, undo)

    def _begin(self, token: Token, undo: Compensation) -> tuple[Held, Any, bool] | None:
        with self.tools.store.write() as connection:
            held = next(iter(fence(connection, [token], COMPENSATE, self.run_id)), None)
            if held is None:
                self.report.lost += 1
                return None
            known = steps_of(connection, [held], {self.step.name, *self.saga.dependents(self.step.name)})
            before = known.get((held.id, self.step.name))
            if before is not None and before.state in UNDO_SETTLED:
                self.report.again.append(held.id)
            elif not eligible(self.saga, self.step, held, known):
                self.report.broken[held.id] = "blocked"
            elif settled_without_undo(self.step, before):
                row = step_row(held, self.step.name, before, state=StepState.NOTHING_TO_UNDO, undone_at=held.at)
                write_steps(connection, [row], known)
                self.report.again.append(held.id)
            elif spent(undo, before):
                self.report.broken[held.id] = "undo_spent"
            else:
                # Whether it happened stays unknown as long as nothing was recorded of it.
                assert before is not None  # noqa: S101 - without a row there is nothing to undo
                unknown = before.undo is None
                row = step_row(held, self.step.name, before, state=StepState.UNDOING)
                write_steps(connection, [row], known)
                return held, before, unknown
            return None

    def _whether_it_is_there(
        self, held: Held, before: Any, undo: Compensation, now: datetime
    ) -> tuple[bool, BaseModel | None]:
        """Ask the probe about an effect that left no result; where it cannot tell, the undo is told so. R5."""
        del before
        assert self.step.probe is not None  # noqa: S101 - the gate asks for one
        given = given_to(self.saga, self.step, held, now, None)
        try:
            found = self._call(self.step.timeout_s, self.step.probe, given, None)
        except Exception:  # noqa: BLE001 - a probe that fails is a probe that cannot tell
            return True, None
        if not isinstance(found, Probed) or found.outcome == "unknown":
            return True, None
        if found.outcome == "absent":
            return False, None
        left = None if found.done is None or found.done.undo is None else found.done.undo.model_dump(mode="json")
        return True, None if left is None else undo.accepts.model_validate(
            {name: left[name] for name in undo.accepts.model_fields if name in left}
        )

    def _call(self, limit_s: float, function: Any, *arguments: Any) -> Any:
        future = self.calls.submit(function, *arguments)
        try:
            return future.result(limit_s)
        except NotInTime:
            future.cancel()
            raise

    def _settle(self, token: Token, before: Any, broken: Exception | None, seconds: float, undo: Compensation) -> None:
        with self.tools.store.write() as connection:
            held = next(iter(fence(connection, [token], COMPENSATE, self.run_id)), None)
            if held is None:
                self.report.lost += 1
                return
            key = {(held.id, self.step.name)}
            if broken is None:
                write_steps(connection, [undone_row(self.step, held, before, seconds)], key)
                note_progress(connection, [held.id])
                self.report.done.append(held.id)
                return
            now = self.tools.clock.now()
            row, attempt, at = failed_undo(self.tools, self.step, undo, held, before, broken, now, self.run_id, seconds)
            write_steps(connection, [row], key)
            note_attempts(connection, [attempt])
            note_wait(connection, self.report, held, at, type(broken).__name__)
