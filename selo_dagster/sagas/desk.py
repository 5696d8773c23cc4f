"""The operator's desk: each act is fenced, says who and why, and changes nothing when it was done before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, exists, insert, select, update

from selo_dagster.errors import SeloError
from selo_dagster.sagas.claim import held_of
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.journal import end, let_go
from selo_dagster.sagas.states import (
    CANCELLED,
    COMPENSATE,
    COMPENSATED,
    COMPENSATING,
    COMPENSATION_INCOMPLETE,
    COMPLETED,
    ENDED,
    FORWARD,
    NEEDS_A_PERSON,
    NOTHING_TO_UNDO,
    PAUSED,
    PENDING,
    WAITING,
    StepState,
)
from selo_dagster.sagas.tables import saga_alerts, saga_interventions, saga_steps, sagas
from selo_dagster.sagas.traced import tell
from selo_dagster.sagas.turning import overdue, past_pivot
from selo_dagster.store.types import database_now

LONGEST_NAME: Final = 200

Finding = Callable[[str, int], Saga]
"""Returns the definition of a type and version; raises SeloError `definition_gone`."""


@dataclass(frozen=True)
class Acted:
    """What an act did. changed: False when there was nothing to do any more."""

    id: str
    state: str
    changed: bool


def require_reason(actor: str, because: str) -> None:
    """Raise SeloError `wrong_use` unless an act says who does it, and why."""
    if not actor.strip() or not because.strip():
        raise SeloError("wrong_use", "an act needs somebody who does it, and a reason")
    if len(actor) > LONGEST_NAME or not (actor + because).replace("\n", " ").isprintable():
        raise SeloError("wrong_use", f"a name is at most {LONGEST_NAME} characters, without control characters")


@dataclass(frozen=True)
class Desk:
    """Acts on one saga each, in the caller's transaction. actor: who; because: why."""

    connection: Connection
    now: datetime
    definition: Finding
    actor: str
    because: str

    def __post_init__(self) -> None:
        """Hold that every act has a name and a reason. Raises SeloError `wrong_use`."""
        require_reason(self.actor, self.because)

    def cancel(self, saga_id: str) -> Acted:
        """Stop a saga: one that has done nothing ends, one before the pivot goes back.

        Raises SeloError `unknown_saga_id`, `past_pivot`, `already_ended`.
        """
        row = self._locked(saga_id)
        if row.state == CANCELLED or row.cancel_requested:
            return Acted(saga_id, row.state, changed=False)
        if row.state in ENDED:
            raise SeloError(
                "already_ended", f"saga {saga_id} is {row.state}: `selo saga compensate` undoes one that is done"
            )
        held = held_of(row)
        if past_pivot(self.connection, self.definition(row.type, row.version), held):
            raise SeloError("past_pivot", f"saga {saga_id} has passed the point from which there is no way back")
        self._bump(saga_id, cancel_requested=True)
        if row.direction == FORWARD and row.lease_until is None and not self._has_steps(saga_id, row.generation):
            end(self.connection, held, CANCELLED, self.now, reason="cancelled")
            return self._noted(row, "cancel", CANCELLED)
        let_go(
            self.connection,
            held,
            state=COMPENSATING,
            direction=COMPENSATE,
            reason="cancelled",
            next_attempt_at=None,
            waits_since=None,
            turned_at=database_now(),
        )
        return self._noted(row, "cancel", COMPENSATING)

    def compensate(self, saga_id: str) -> Acted:
        """Undo a saga, also one that is completed, as long as its retention lasts.

        Raises SeloError `unknown_saga_id`, `past_pivot`, `too_late`, `already_ended`.
        """
        row = self._locked(saga_id)
        if row.direction == COMPENSATE and row.state not in ENDED:
            return Acted(saga_id, row.state, changed=False)
        if row.state in {COMPENSATED, NOTHING_TO_UNDO, CANCELLED}:
            return Acted(saga_id, row.state, changed=False)
        definition = self.definition(row.type, row.version)
        held = held_of(row)
        if past_pivot(self.connection, definition, held):
            raise SeloError("past_pivot", f"saga {saga_id} has passed the point from which there is no way back")
        if row.state == COMPLETED and row.ended_at + timedelta(days=definition.undo_days) < self.now:
            raise SeloError(
                "too_late",
                f"saga {saga_id} ended more than {definition.undo_days} days ago: its undo data is not kept for longer",
            )
        self._bump(saga_id, lost=0)
        let_go(
            self.connection,
            held,
            state=COMPENSATING,
            direction=COMPENSATE,
            reason="asked",
            next_attempt_at=None,
            waits_since=None,
            ended_at=None,
            turned_at=database_now(),
        )
        return self._noted(row, "compensate", COMPENSATING)

    def retry(self, saga_id: str) -> Acted:
        """Go on with a saga that waits for a person, with all its tries; or start one that was undone anew.

        It keeps its direction; a restart after an undo is a new generation. Raises SeloError `unknown_saga_id`,
        `already_ended` for one that is completed.
        """
        row = self._locked(saga_id)
        if row.state == COMPLETED:
            raise SeloError("already_ended", f"saga {saga_id} is completed: there is nothing to try again")
        if row.state in ENDED:
            return self._anew(row)
        if row.state not in {*NEEDS_A_PERSON, WAITING, PAUSED}:
            return Acted(saga_id, row.state, changed=False)
        forward = row.direction == FORWARD
        self._bump(saga_id, lost=0)
        self.connection.execute(
            update(saga_steps)
            .where(
                saga_steps.c.saga_id == saga_id,
                saga_steps.c.generation == row.generation,
                saga_steps.c.state.in_(
                    (StepState.PENDING, StepState.FAILED, StepState.REFUSED, StepState.UNKNOWN)
                    if forward
                    else (StepState.UNDOING,)
                ),
            )
            .values(attempts=0 if forward else saga_steps.c.attempts, undo_attempts=0)
        )
        state = PENDING if forward else COMPENSATING
        changes: dict[str, Any] = {"state": state, "reason": None, "next_attempt_at": None, "paused_from": None}
        held = held_of(row)
        if forward and overdue(held, self.now):
            # Otherwise it would only turn round at once.
            seconds = self.definition(row.type, row.version).deadline_s
            changes |= {"deadline_at": self.now + timedelta(seconds=seconds), "waits_since": None}
        let_go(self.connection, held, **changes)
        self._resolve(saga_id)
        return self._noted(row, "retry", state)

    def waive(self, saga_id: str, step: str) -> Acted:
        """Say of one step that its undo is not needed any more, or was done by hand; the way back goes on.

        Raises SeloError `unknown_saga_id`, `unknown_step`, `not_waivable`.
        """
        row = self._locked(saga_id)
        if step not in {one.name for one in self.definition(row.type, row.version).steps}:
            raise SeloError("unknown_step", f"saga {saga_id} has no step {step[:40]!r}")
        there = self.connection.execute(
            select(saga_steps.c.state).where(
                saga_steps.c.saga_id == saga_id, saga_steps.c.generation == row.generation, saga_steps.c.step == step
            )
        ).scalar()
        if there == StepState.WAIVED:
            return Acted(saga_id, row.state, changed=False)
        if row.state not in {COMPENSATION_INCOMPLETE, COMPENSATING} or there not in {
            StepState.UNDOING,
            StepState.DONE,
            StepState.UNKNOWN,
            StepState.RUNNING,
        }:
            raise SeloError(
                "not_waivable",
                f"only a step whose undo is still owed can be waived: {step} is {there}, the saga {row.state}",
            )
        self._bump(saga_id)
        self.connection.execute(
            update(saga_steps)
            .where(
                saga_steps.c.saga_id == saga_id, saga_steps.c.generation == row.generation, saga_steps.c.step == step
            )
            .values(state=StepState.WAIVED, undone_at=database_now())
        )
        let_go(self.connection, held_of(row), state=COMPENSATING, next_attempt_at=None)
        self._resolve(saga_id)
        return self._noted(row, "waive", COMPENSATING, step=step)

    def pause(self, saga_id: str) -> Acted:
        """Let a saga rest where it is; a run that holds it loses it. Raises SeloError `already_ended`."""
        row = self._locked(saga_id)
        if row.state in ENDED:
            raise SeloError("already_ended", f"saga {saga_id} is {row.state}")
        if row.state == PAUSED:
            return Acted(saga_id, row.state, changed=False)
        self._bump(saga_id, paused_from=row.state)
        let_go(self.connection, held_of(row), state=PAUSED)
        return self._noted(row, "pause", PAUSED)

    def resume(self, saga_id: str) -> Acted:
        """Go on with a saga that was paused, in the state in which it was."""
        row = self._locked(saga_id)
        if row.state != PAUSED:
            return Acted(saga_id, row.state, changed=False)
        self._bump(saga_id, paused_from=None)
        let_go(self.connection, held_of(row), state=row.paused_from)
        return self._noted(row, "resume", row.paused_from)

    def _anew(self, row: Any) -> Acted:
        definition = self.definition(row.type, row.version)
        self._bump(
            row.id,
            generation=row.generation + 1,
            state=PENDING,
            direction=FORWARD,
            cancel_requested=False,
            reason=None,
            error=None,
            lost=0,
            ended_at=None,
            next_attempt_at=None,
            deadline_at=self.now + timedelta(seconds=definition.deadline_s),
        )
        return self._noted(row, "retry", PENDING)

    def _locked(self, saga_id: str) -> Any:
        row = self.connection.execute(select(sagas).where(sagas.c.id == saga_id).with_for_update()).one_or_none()
        if row is None:
            raise SeloError("unknown_saga_id", f"there is no saga {saga_id[:80]!r}")
        return row

    def _bump(self, saga_id: str, **changes: Any) -> None:
        """Fence whoever holds it."""
        self.connection.execute(
            update(sagas)
            .where(sagas.c.id == saga_id)
            .values(epoch=sagas.c.epoch + 1, changed_at=database_now(), **changes)
        )

    def _has_steps(self, saga_id: str, generation: int) -> bool:
        found = select(exists().where(saga_steps.c.saga_id == saga_id, saga_steps.c.generation == generation))
        return bool(self.connection.execute(found).scalar())

    def _resolve(self, saga_id: str) -> None:
        self.connection.execute(
            update(saga_alerts)
            .where(saga_alerts.c.saga_id == saga_id, saga_alerts.c.resolved_at.is_(None))
            .values(resolved_at=database_now())
        )

    def _noted(self, row: Any, action: str, after: str, *, step: str | None = None) -> Acted:
        self.connection.execute(
            insert(saga_interventions).values(
                saga_id=row.id,
                action=action,
                step=step,
                actor=self.actor,
                because=self.because,
                before=row.state,
                after=after,
                at=self.now,
            )
        )
        tell(self.connection, "selo.saga.act", [row], type=row.type, action=action, step=step, state=after)
        return Acted(row.id, after, changed=True)
