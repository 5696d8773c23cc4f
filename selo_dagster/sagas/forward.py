"""One step forward for a cohort: effect, row and undo data commit together, a savepoint a saga."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from selo_dagster.sagas.carrying import done_row, failed_row, finish, given_to, input_of, turned_row
from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.engine import Report, Tools, chunks, limit_statements
from selo_dagster.sagas.faults import Fault, fault_of
from selo_dagster.sagas.isolated import isolated
from selo_dagster.sagas.journal import Held, Token, fence, note_attempts, note_progress, steps_of, write_steps
from selo_dagster.sagas.states import FORWARD, StepState
from selo_dagster.sagas.traced import step_spans
from selo_dagster.sagas.turning import overdue, past_pivot, turn_round


def database_step(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str) -> Report:
    """Carry a step out for everybody of a cohort who has not come through it yet.

    A saga that fails for good turns round in the same transaction and is not this run's any more. One that fails
    for a passing reason stays claimed: the caller decides between another try here and `put_off`.
    Raises what the database raises when it is gone; the chunk under way is then as if it had never begun.
    """
    started = tools.monotonic()
    report = Report()
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
    done: list[str] = field(default_factory=list)

    def work(self, tokens: Sequence[Token]) -> None:
        now = self.tools.clock.now()
        held = fence(self.connection, tokens, FORWARD, self.run_id)
        self.report.lost += len(tokens) - len(held)
        known = steps_of(self.connection, held, {self.step.name, *self.step.needs})
        limit_statements(self.connection, self.step.timeout_s)
        tried: list[Held] = []
        for one in held:
            before = known.get((one.id, self.step.name))
            if before is not None and before.state == StepState.DONE:
                self.report.again.append(one.id)
            elif overdue(one, now) and self._back(one, "deadline"):
                continue
            else:
                tried.append(one)
        self._try(tried, known, now)
        write_steps(self.connection, self.rows, known)
        note_attempts(self.connection, self.attempts)
        note_progress(self.connection, self.done)
        self._complete(held, now)
        self.report.done += self.done

    def _back(self, one: Held, reason: str) -> bool:
        # After the pivot a saga is pushed on however late it is; the monitor tells somebody.
        if past_pivot(self.connection, self.saga, one):
            return False
        turn_round(self.connection, self.saga, one, reason, None)
        self.attempts.append(turned_row(one, self.step, self.run_id, reason))
        self.report.broken[one.id] = reason
        return True

    def _try(self, tried: Sequence[Held], known: dict[tuple[str, str], Any], now: datetime) -> None:
        spans = step_spans(self.connection, self.saga, self.step, FORWARD, self.run_id, tried)

        def work(one: Held) -> dict[str, Any]:
            before = known.get((one.id, self.step.name))
            with spans.of(one, before).inside():
                given = given_to(self.saga, self.step, one, now, self.connection)
                answer = self.step.action(given, input_of(self.step, one, known))
                return done_row(one, self.step, before, answer)

        for outcome in isolated(self.connection, tried, work, self.tools.monotonic):
            one, result = outcome.one, outcome.result
            if isinstance(result, Exception):
                fault = self._failed(one, known.get((one.id, self.step.name)), result, now, outcome.seconds)
                spans.end(one.id, fault.meaning, fault.code)
            else:
                spans.end(one.id, StepState.DONE)
                self.rows.append(result | {"seconds": outcome.seconds})
                self.done.append(one.id)

    def _failed(self, one: Held, before: Any, broken: Exception, now: datetime, seconds: float) -> Fault:
        self.report.cause = broken
        fault = fault_of(self.step, broken)
        row, attempt, at = failed_row(self.tools, one, self.step, before, fault, now, self.run_id, seconds)
        self.rows.append(row)
        self.attempts.append(attempt)
        if at is not None:
            self.report.passing[one.id] = at
            return fault
        turn_round(self.connection, self.saga, one, "step_failed", fault.as_json(self.step.name))
        self.report.broken[one.id] = fault.code
        return fault

    def _complete(self, held: Iterable[Held], now: datetime) -> None:
        done = set(self.done)
        finish(self.connection, self.saga, self.step, [one for one in held if one.id in done], now)
