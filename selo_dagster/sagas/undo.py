"""One step back for a cohort: what was done is undone, what never was is marked, what rests on it waits. R3, R8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.engine import Report, Tools, chunks, limit_statements
from selo_dagster.sagas.isolated import isolated
from selo_dagster.sagas.journal import Held, Token, fence, note_attempts, note_progress, steps_of, write_steps
from selo_dagster.sagas.states import COMPENSATE, UNDO_SETTLED, StepState
from selo_dagster.sagas.traced import step_spans
from selo_dagster.sagas.undo_outside import undo_outside
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


def undo_step(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str) -> Report:
    """Undo a step for everybody of a cohort, as far as nothing that rests on it is still there.

    Report: done were undone; again need nothing (never done, nothing to undo, settled before); passing wait for
    another try; broken wait for a person, or for what rests on the step.
    """
    started = tools.monotonic()
    report = Report()
    if step.outside and step.compensation is not None:
        undo_outside(tools, saga, step, tokens, run_id, report)
    else:
        for part in chunks(tokens, tools.chunk):
            with tools.store.write() as connection:
                _Chunk(tools, saga, step, run_id, report, connection).work(part)
    report.seconds = tools.monotonic() - started
    return report


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
        tried: list[Held] = []
        for one in held:
            before = known.get((one.id, self.step.name))
            if before is not None and before.state in UNDO_SETTLED:
                self.report.again.append(one.id)
            elif not eligible(self.saga, self.step, one, known):
                self.report.broken[one.id] = "blocked"
            elif undo is None or settled_without_undo(self.step, before):
                self.rows.append(settled_row(self.step, one, before))
                self.report.again.append(one.id)
            elif spent(undo, before):
                self.report.broken[one.id] = "undo_spent"
            else:
                tried.append(one)
        if undo is not None:
            self._try(tried, undo, known, now)
        write_steps(self.connection, self.rows, known)
        note_attempts(self.connection, self.attempts)
        note_progress(self.connection, self.report.done)

    def _try(self, tried: Sequence[Held], undo: Compensation, known: dict[tuple[str, str], Any], now: datetime) -> None:
        spans = step_spans(self.connection, self.saga, self.step, COMPENSATE, self.run_id, tried)

        def work(one: Held) -> dict[str, Any]:
            before = known[one.id, self.step.name]
            with spans.of(one, before).inside():
                undo.handler(undo_given(self.saga, self.step, one, now, self.connection), recorded(undo, before))
            return undone_row(self.step, one, before, 0.0)

        for outcome in isolated(self.connection, tried, work, self.tools.monotonic):
            one, result, seconds = outcome.one, outcome.result, outcome.seconds
            if not isinstance(result, Exception):
                self.rows.append(result | {"undo_seconds": seconds})
                self.report.done.append(one.id)
                spans.end(one.id, StepState.UNDONE)
                continue
            before = known[one.id, self.step.name]
            row, attempt, at = failed_undo(self.tools, self.step, undo, one, before, result, now, self.run_id, seconds)
            self.rows.append(row)
            self.attempts.append(attempt)
            note_wait(self.connection, self.report, one, at, type(result).__name__)
            spans.end(one.id, StepState.FAILED, type(result).__name__)
