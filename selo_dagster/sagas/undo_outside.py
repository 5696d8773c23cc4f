"""Undoes a step whose effect is outside the database: intent first, then the call, then the result. R1, R5."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from selo_dagster.sagas.carrying import given_to
from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.engine import OUTSIDE_AT_ONCE, Report, Tools
from selo_dagster.sagas.given import Probed
from selo_dagster.sagas.journal import Held, Token, fence, note_attempts, note_progress, step_row, steps_of, write_steps
from selo_dagster.sagas.limited import limited
from selo_dagster.sagas.states import COMPENSATE, UNDO_SETTLED, StepState
from selo_dagster.sagas.traced import StepSpans, step_spans
from selo_dagster.sagas.undoing import (
    eligible,
    failed_undo,
    note_wait,
    recorded,
    settled_row,
    settled_without_undo,
    spent,
    undo_given,
    undone_row,
)


def undo_outside(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str, report: Report) -> None:
    """Undo a step for everybody of a cohort, some at a time; what came of it is added to the report."""
    with ThreadPoolExecutor(OUTSIDE_AT_ONCE, thread_name_prefix="selo-saga") as at_once:
        work = _OutsideUndo(tools, saga, step, run_id, report)
        for future in [at_once.submit(work.one, token) for token in sorted(tokens)]:
            future.result()


@dataclass(frozen=True)
class _OutsideUndo:
    """Undoes an effect outside the database: intent first, then the call, then the result."""

    tools: Tools
    saga: Saga
    step: Step
    run_id: str
    report: Report

    def one(self, token: Token) -> None:
        undo = self.step.compensation
        assert undo is not None  # noqa: S101 - asked before
        begun = self._begin(token, undo)
        if begun is None:
            return
        held, before, unknown, spans = begun
        with spans.of(held, before) as told:
            broken = self._carried_out(token, undo, held, before, unknown=unknown)
            told.tell(outcome=StepState.UNDONE if broken is None else StepState.FAILED)
            if broken is not None:
                told.broke(type(broken).__name__)

    def _carried_out(
        self, token: Token, undo: Compensation, held: Held, before: Any, *, unknown: bool
    ) -> Exception | None:
        now = self.tools.clock.now()
        began = self.tools.monotonic()
        broken: Exception | None = None
        absent = False
        try:
            left = recorded(undo, before)
            if unknown:
                absent, left = self._looked_for(held, undo, now)
            # Also where a probe finds nothing: what was sent may be worked off late, and this call is its tombstone.
            given = undo_given(self.saga, self.step, held, now, None, may_be_absent=unknown and left is None)
            limited(undo.timeout_s, undo.handler, given, left)
        except Exception as failed:  # noqa: BLE001 - one saga's failure is its own
            broken = failed
        self._settle(token, before, broken, self.tools.monotonic() - began, undo, absent=absent)
        return broken

    def _begin(self, token: Token, undo: Compensation) -> tuple[Held, Any, bool, StepSpans] | None:
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
                write_steps(connection, [settled_row(self.step, held, before)], known)
                self.report.again.append(held.id)
            elif spent(undo, before):
                self.report.broken[held.id] = "undo_spent"
            else:
                # Whether it happened stays unknown as long as nothing was recorded of it.
                assert before is not None  # noqa: S101 - without a row there is nothing to undo
                unknown = before.undo is None
                row = step_row(held, self.step.name, before, state=StepState.UNDOING)
                write_steps(connection, [row], known)
                spans = step_spans(connection, self.saga, self.step, COMPENSATE, self.run_id, [held])
                return held, before, unknown, spans
            return None

    def _looked_for(self, held: Held, undo: Compensation, now: datetime) -> tuple[bool, BaseModel | None]:
        """Ask the probe about an effect that left no result; returns (it is absent, what its undo needs). R5."""
        assert self.step.probe is not None  # noqa: S101 - the gate asks for one
        given = given_to(self.saga, self.step, held, now, None)
        try:
            found = limited(self.step.timeout_s, self.step.probe, given, None)
        except Exception:  # noqa: BLE001 - a probe that fails is a probe that cannot tell
            return False, None
        if not isinstance(found, Probed) or found.outcome == "unknown":
            return False, None
        if found.outcome == "absent" or found.done is None or found.done.undo is None:
            return found.outcome == "absent", None
        left = found.done.undo.model_dump(mode="json")
        return False, undo.accepts.model_validate(
            {name: left[name] for name in undo.accepts.model_fields if name in left}
        )

    def _settle(
        self,
        token: Token,
        before: Any,
        broken: Exception | None,
        seconds: float,
        undo: Compensation,
        *,
        absent: bool,
    ) -> None:
        with self.tools.store.write() as connection:
            held = next(iter(fence(connection, [token], COMPENSATE, self.run_id)), None)
            if held is None:
                self.report.lost += 1
                return
            key = {(held.id, self.step.name)}
            if broken is None:
                write_steps(connection, [undone_row(self.step, held, before, seconds, absent=absent)], key)
                note_progress(connection, [held.id])
                (self.report.again if absent else self.report.done).append(held.id)
                return
            now = self.tools.clock.now()
            row, attempt, at = failed_undo(self.tools, self.step, undo, held, before, broken, now, self.run_id, seconds)
            write_steps(connection, [row], key)
            note_attempts(connection, [attempt])
            note_wait(connection, self.report, held, at, type(broken).__name__)
