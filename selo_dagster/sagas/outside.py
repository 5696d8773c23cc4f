"""One step whose work is not in the database: intent first, no transaction open meanwhile, a probe when in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from selo_dagster.sagas.carrying import AnswerError, done_row, failed_row, finish, given_to, input_of, turned_row
from selo_dagster.sagas.definition import Saga, Step
from selo_dagster.sagas.engine import OUTSIDE_AT_ONCE, Report, Tools, wait_until
from selo_dagster.sagas.faults import Fault, fault_of
from selo_dagster.sagas.given import Done, Probed
from selo_dagster.sagas.hearing import Heard, told_to
from selo_dagster.sagas.journal import Held, Token, fence, note_attempts, note_progress, step_row, steps_of, write_steps
from selo_dagster.sagas.limited import limited
from selo_dagster.sagas.paying import NoRoomError, paid_by
from selo_dagster.sagas.provider import Provider, provider_of
from selo_dagster.sagas.states import FORWARD, StepState
from selo_dagster.sagas.traced import StepSpans, step_spans
from selo_dagster.sagas.turning import doubt, gone_on, overdue, past_pivot, turn_round
from selo_dagster.tracing.spans import Span

Come = Literal["done", "again", "broken", "passing", "held_up", "no_room", "lost"]
Outcome = tuple[Come, Any, "Exception | None"]
"""What one saga came to, its code or its time, and the error that it was."""


def outside_step(tools: Tools, saga: Saga, step: Step, tokens: Sequence[Token], run_id: str) -> Report:
    """Carry a step out for everybody of a cohort who has not come through it yet, some at a time. R1, R5."""
    started = tools.monotonic()
    report = Report()
    provider = provider_of(tools, saga.name, step, run_id)
    at_once = provider.room(OUTSIDE_AT_ONCE)
    with ThreadPoolExecutor(at_once, thread_name_prefix="selo-saga") as sagas_at_once:
        outside = _Outside(tools, saga, step, run_id, provider)
        work = [sagas_at_once.submit(outside.one, token) for token in sorted(tokens)]
        for token, future in zip(sorted(tokens), work, strict=True):
            came, detail, cause = future.result()
            report.cause = cause or report.cause
            if came == "done":
                report.done.append(token[0])
            elif came == "again":
                report.again.append(token[0])
            elif came == "broken":
                report.broken[token[0]] = str(detail)
            elif came in {"passing", "held_up", "no_room"}:
                report.passing[token[0]] = detail
                if came != "passing":
                    report.held_up.add(token[0])
                if came == "no_room":
                    report.no_room.add(token[0])
            else:
                report.lost += 1
    provider.give_back()
    report.seconds = tools.monotonic() - started
    return report


@dataclass(frozen=True)
class _Outside:
    tools: Tools
    saga: Saga
    step: Step
    run_id: str
    provider: Provider

    def one(self, token: Token) -> Outcome:
        """Carry it out for one saga."""
        if self.provider.parked:
            came: Come = "held_up" if self.provider.over is None else "no_room"
            return came, self.provider.again_at(self.tools.clock.now()), None
        begun = self._begin(token)
        if isinstance(begun, tuple):
            return begun
        with begun.spans.of(begun.held, begun.row) as told:
            return self._carried_out(token, begun, told)

    def _carried_out(self, token: Token, begun: _Begun, told: Span) -> Outcome:
        now = self.tools.clock.now()
        given = given_to(self.saga, self.step, begun.held, now, None)
        began = self.tools.monotonic()
        fault: Fault | None = None
        cause: Exception | None = None
        answer: Any = None
        row: dict[str, Any] = {}
        heard = Heard()
        try:
            if begun.doubtful:
                # A former try left no result: whether it happened is asked before anything is done again.
                answer = self._probed(given, begun.given)
            if answer is None:
                with paid_by(self.provider.payer(given, begun.held.epoch)), told_to(heard):
                    answer = self._call(self.step.action, given, begun.given)
            row = done_row(begun.held, self.step, begun.row, answer)
        except _StillUnknownError as unknown:
            cause = unknown
            fault = Fault("unknown", unknown.code, unheard=True)
        except Exception as broken:  # noqa: BLE001 - one saga's failure is its own
            cause = broken
            fault = fault_of(self.step, broken)
            if fault.meaning == "unknown":
                fault, row = self._after_unknown(given, begun, fault)
        seconds = self.tools.monotonic() - began
        if fault is None:
            outcome = self._done(token, row | {"seconds": seconds}, heard)
            told.tell(outcome=outcome[0])
            return outcome
        told.tell(outcome=fault.meaning)
        told.broke(fault.code)
        came, detail, _ = self._failed(token, begun, fault, cause, seconds, heard)
        return came, detail, cause

    def _begin(self, token: Token) -> _Begun | Outcome:
        """Write the intent, in a transaction of its own."""
        now = self.tools.clock.now()
        with self.tools.store.write() as connection:
            held = next(iter(fence(connection, [token], FORWARD, self.run_id)), None)
            if held is None:
                return "lost", None, None
            known = steps_of(connection, [held], {self.step.name, *self.step.needs})
            before = known.get((held.id, self.step.name))
            if before is not None and before.state == StepState.DONE:
                return "again", None, None
            if overdue(held, now) and not past_pivot(connection, self.saga, held):
                turn_round(connection, self.saga, held, "deadline", None)
                note_attempts(connection, [turned_row(held, self.step, self.run_id, "deadline")])
                return "broken", "deadline", None
            try:
                given = input_of(self.step, held, known)
            except Exception as broken:  # noqa: BLE001 - what earlier steps left is nothing to try again with
                error = fault_of(replace_outside(self.step), broken).as_json(self.step.name)
                turn_round(connection, self.saga, held, "step_failed", error)
                note_attempts(connection, [turned_row(held, self.step, self.run_id, error["class"])])
                return "broken", error["class"], broken
            doubtful = (
                self.step.outside and before is not None and before.state in {StepState.RUNNING, StepState.UNKNOWN}
            )
            gone_on(connection, held, now)
            row = step_row(held, self.step.name, before, state=StepState.RUNNING, began_at=held.at)
            write_steps(connection, [row], known)
            spans = step_spans(connection, self.saga, self.step, FORWARD, self.run_id, [held])
            return _Begun(held, before, given, doubtful, spans)

    def _call(self, function: Any, *arguments: Any) -> Any:
        # What comes too late is left to itself: whether it happened is asked of the probe.
        return limited(self.step.timeout_s, function, *arguments)

    def _probed(self, given: Any, handed: Any) -> Done | None:
        """Return the result of an effect that happened; None: it did not. Raises _StillUnknownError."""
        assert self.step.probe is not None  # noqa: S101 - the gate asks for one
        try:
            found = self._call(self.step.probe, given, handed)
        except Exception as broken:
            raise _StillUnknownError(type(broken).__name__) from broken
        if not isinstance(found, Probed) or found.outcome == "unknown":
            raise _StillUnknownError("unknown")
        if found.outcome == "there":
            if found.done is None:
                raise _StillUnknownError("no_result")
            return found.done
        return None

    def _after_unknown(self, given: Any, begun: _Begun, fault: Fault) -> tuple[Fault | None, dict[str, Any]]:
        """Ask the probe what became of a call that failed: done after all, absent and to be tried again, or unknown."""
        try:
            answer = self._probed(given, begun.given)
            if answer is not None:
                return None, done_row(begun.held, self.step, begun.row, answer)
        except (_StillUnknownError, AnswerError):
            return fault, {}
        return Fault("transient", fault.code, unheard=True), {}

    def _done(self, token: Token, row: dict[str, Any], heard: Heard) -> Outcome:
        with self.tools.store.write() as connection:
            held = next(iter(fence(connection, [token], FORWARD, self.run_id)), None)
            if held is None:
                return "lost", None, None
            write_steps(connection, [row | {"done_at": held.at}], {(held.id, self.step.name)})
            note_progress(connection, [held.id])
            if heard.answered:
                self.provider.answered(connection)
            finish(connection, self.saga, self.step, [held], self.tools.clock.now())
        return "done", None, None

    def _failed(
        self, token: Token, begun: _Begun, fault: Fault, cause: Exception | None, seconds: float, heard: Heard
    ) -> Outcome:
        now = self.tools.clock.now()
        with self.tools.store.write() as connection:
            held = next(iter(fence(connection, [token], FORWARD, self.run_id)), None)
            if held is None:
                return "lost", None, None
            if isinstance(cause, NoRoomError):
                row = step_row(held, self.step.name, begun.row, state=StepState.PENDING)
                write_steps(connection, [row], {(held.id, self.step.name)})
                return "no_room", cause.until, None
            if self.provider.failed(connection, cause, heard):
                row = step_row(held, self.step.name, begun.row, state=StepState.PENDING)
                write_steps(connection, [row], {(held.id, self.step.name)})
                return "held_up", self.provider.again_at(now, tried=True), None
            row, attempt, at = failed_row(self.tools, held, self.step, begun.row, fault, now, self.run_id, seconds)
            if fault.meaning == "unknown":
                row["state"] = StepState.UNKNOWN
                at = self._ask_again_at(now, row["attempts"])
            write_steps(connection, [row], {(held.id, self.step.name)})
            note_attempts(connection, [attempt])
            if at is not None:
                return "passing", at, None
            if fault.meaning == "unknown":
                doubt(connection, held, fault.as_json(self.step.name))
            else:
                turn_round(connection, self.saga, held, "step_failed", fault.as_json(self.step.name))
            return "broken", fault.code, None

    def _ask_again_at(self, now: datetime, attempts: int) -> datetime | None:
        if attempts >= self.step.retry.attempts:
            return None
        return wait_until(now, self.step.retry, attempts, self.tools.random)


@dataclass(frozen=True)
class _Begun:
    """A step whose intent is written. row: as it was before; doubtful: a former try left no result."""

    held: Held
    row: Any
    given: Any
    doubtful: bool
    spans: StepSpans


class _StillUnknownError(Exception):
    """The probe could not tell either."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def replace_outside(step: Step) -> Step:
    """Return a step as if it were inside: before its call, nothing can have happened."""
    return step.model_copy(update={"outside": False})
