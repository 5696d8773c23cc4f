"""The states and reasons of an obligation in the reflection ledger."""

from __future__ import annotations

from typing import Final

DUE: Final = "due"
CLAIMED: Final = "claimed"
DONE: Final = "done"
UNCHANGED: Final = "unchanged"
SKIPPED: Final = "skipped"
DEFERRED: Final = "deferred"
REJECTED: Final = "rejected"
FAILED: Final = "failed"
DEAD: Final = "dead"

STATES: Final = (DUE, CLAIMED, DONE, UNCHANGED, SKIPPED, DEFERRED, REJECTED, FAILED, DEAD)
OUTCOMES: Final = (DONE, UNCHANGED, SKIPPED, DEFERRED, REJECTED, FAILED, DEAD)
"""What can be said of an obligation once somebody has worked on it."""

SETTLED: Final = (DONE, UNCHANGED, SKIPPED)
"""Outcomes that need nothing more; each is shown as a materialisation."""

BROKEN: Final = (REJECTED, FAILED, DEAD)
"""Outcomes that turn a person's partition red and a command's exit status to 1."""


WAITING: Final = "waiting"
PLACED: Final = "placed"
CANCELLED: Final = "cancelled"
"""States of a one-off: its time has not come, its obligation is in the ledger, it was taken back."""


class Reason:
    """Why an obligation was skipped, deferred or found unchanged."""

    NEVER_INTERACTED: Final = "never_interacted"
    NOTHING_NEW: Final = "nothing_new"
    TOO_OLD: Final = "too_old"
    INACTIVE: Final = "inactive"
    NOT_ENDED: Final = "not_ended"
    NOT_LIVED: Final = "not_lived"
    ALREADY_DONE: Final = "already_done"
    COULD_NOT_LOOK: Final = "could_not_look"
    HELD_ELSEWHERE: Final = "held_elsewhere"
    PAUSED: Final = "paused"
    SUPERSEDED: Final = "superseded"
    OTHER_DATE: Final = "other_date"
    NOTHING_ASKED: Final = "nothing_asked"
    NOT_YET: Final = "not_yet"
    QUEUE_FULL: Final = "queue_full"
    NOTHING_TO_ASK: Final = "nothing_to_ask"
    RESOURCES: Final = "resources"
    PROVIDER_DOWN: Final = "provider_down"
    BUDGET: Final = "budget"
    NOT_ACCEPTED: Final = "not_accepted"
    CANCELLED: Final = "cancelled"
    SOURCE_GONE: Final = "source_gone"
    LOSS_GUARD: Final = "loss_guard"


def waiting_for(kind: str) -> str:
    """Return the reason of a row that waits for the obligation of another kind on the same date."""
    return f"waiting_for_{kind}"
