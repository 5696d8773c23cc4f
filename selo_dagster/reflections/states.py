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
