"""The states of a saga and of its steps; each says what is true, and only that."""

from __future__ import annotations

from typing import Final

PENDING: Final = "pending"
RUNNING: Final = "running"
WAITING: Final = "waiting"
PAUSED: Final = "paused"
PARKED: Final = "parked"
IN_DOUBT: Final = "in_doubt"
COMPENSATING: Final = "compensating"
COMPLETED: Final = "completed"
COMPENSATED: Final = "compensated"
COMPENSATION_INCOMPLETE: Final = "compensation_incomplete"
NOTHING_TO_UNDO: Final = "nothing_to_undo"
CANCELLED: Final = "cancelled"

SAGA_STATES: Final = (
    PENDING,
    RUNNING,
    WAITING,
    PAUSED,
    PARKED,
    IN_DOUBT,
    COMPENSATING,
    COMPLETED,
    COMPENSATED,
    COMPENSATION_INCOMPLETE,
    NOTHING_TO_UNDO,
    CANCELLED,
)

ENDED: Final = (COMPLETED, COMPENSATED, NOTHING_TO_UNDO, CANCELLED)
"""Nothing more happens by itself, and the person's next saga may begin."""

CLAIMABLE: Final = (PENDING, RUNNING, WAITING, COMPENSATING)
"""A run may take it, once nobody holds it and its time has come."""

NEEDS_A_PERSON: Final = (PARKED, IN_DOUBT, COMPENSATION_INCOMPLETE)
"""It waits for a decision, and so do the person's later sagas."""

FORWARD: Final = "forward"
COMPENSATE: Final = "compensate"
DIRECTIONS: Final = (FORWARD, COMPENSATE)


class StepState:
    """What is known of one step of one generation."""

    PENDING: Final = "pending"
    RUNNING: Final = "running"
    DONE: Final = "done"
    REFUSED: Final = "refused"
    UNKNOWN: Final = "unknown"
    FAILED: Final = "failed"
    UNDOING: Final = "undoing"
    UNDONE: Final = "undone"
    NOTHING_TO_UNDO: Final = "nothing_to_undo"
    WAIVED: Final = "waived"


STEP_STATES: Final = (
    StepState.PENDING,
    StepState.RUNNING,
    StepState.DONE,
    StepState.REFUSED,
    StepState.UNKNOWN,
    StepState.FAILED,
    StepState.UNDOING,
    StepState.UNDONE,
    StepState.NOTHING_TO_UNDO,
    StepState.WAIVED,
)

UNDO_SETTLED: Final = (StepState.UNDONE, StepState.NOTHING_TO_UNDO, StepState.WAIVED)
"""Outcomes of an undo that need nothing more: only with one of these for each step is a saga `compensated`."""
