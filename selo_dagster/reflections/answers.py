"""Why a person was or was not reflected on a date: read from the ledger, or derived where there is no row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.llm.breaker import breaker_of
from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.people.history import zones_of
from selo_dagster.people.local_days import Zones
from selo_dagster.people.lookup import lookup
from selo_dagster.reflections.acceptance import NOT_ACCEPTED, acceptance_of
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.outage import asks, sentence
from selo_dagster.reflections.pauses import pause_of
from selo_dagster.reflections.spending import over_now, waits, what_holds
from selo_dagster.reflections.states import (
    CLAIMED,
    DEFERRED,
    DONE,
    DUE,
    FAILED,
    SKIPPED,
    UNCHANGED,
    Reason,
    waiting_for,
)
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.reflections.version_sentence import version_sentence
from selo_dagster.resources.guard import verdict_now
from selo_dagster.settings import process_settings

_SENTENCES = {
    Reason.NEVER_INTERACTED: "There is no message by this person and no memory of them up to that date.",
    Reason.NOTHING_NEW: "There was contact before, but nothing to read on that date.",
    Reason.NOT_ENDED: "That date has not ended where this person lives, or the hour at which this is due has not come.",
    Reason.NOT_LIVED: "That date was never lived: a move or the zone itself skipped it.",
    Reason.INACTIVE: "This person is no longer active.",
    Reason.TOO_OLD: "That date was further back than SELO_CATCHUP_DAYS when it was first seen; ask for it with --on.",
    Reason.COULD_NOT_LOOK: "Their row cannot be used: look at their time zone.",
    Reason.PAUSED: "It was paused when it became due, and paused time is not caught up; ask for it with --on.",
    Reason.SUPERSEDED: "A later date was due before this one was done, and only the latest is made up for this kind; "
    "ask for it with --on.",
    Reason.OTHER_DATE: "This kind has no row on that date: it is made once a week.",
    Reason.NOTHING_ASKED: "No event, pattern or request asked for one on that date.",
    Reason.CANCELLED: "The request was taken back before its time.",
    Reason.SOURCE_GONE: "What it was to rest on is no longer there.",
    Reason.QUEUE_FULL: "As many questions are open as may be; answer, skip or let some expire first.",
    Reason.BUDGET: "No budget of its day had room for it; `selo budget release` tries again at once.",
    Reason.NOTHING_TO_ASK: "Nothing was found to ask that was not asked, queued or answered before.",
    Reason.LOSS_GUARD: "A new version was made and loses too much: the former one holds.",
}


@dataclass(frozen=True)
class Answered:
    """One person, one date: outcome as in the ledger or derived, the reason's code, and a sentence.

    open_to_request: an explicit request makes a row all the same.
    """

    outcome: str
    reason: str | None
    detail: str
    open_to_request: bool = False

    @classmethod
    def without_row(cls, reason: str | None, *, open_to_request: bool = False) -> Answered:
        """Answer for a date without a row: `due` where there is no reason against it."""
        if reason is None:
            detail = "There is something to read on that date; the next look enrols it."
            return cls(DUE, None, detail, open_to_request=True)
        return cls(SKIPPED, reason, _SENTENCES[reason], open_to_request)

    @classmethod
    def waiting(cls, kind: str) -> Answered:
        """Answer for a date whose parent is not done."""
        return cls(
            DEFERRED, waiting_for(kind), f"It waits for the {kind} of that date: `selo why` tells what holds it."
        )


def person(connection: Connection, who: str) -> tuple[str, str, Zones]:
    """Return (id, key, zone history) of a person named by id or by key. Raises SeloError `unknown_user`."""
    row = lookup(connection, who)
    if row is None:
        raise SeloError("unknown_user", f"there is no user {who[:80]!r}")
    return row.id, row.key, zones_of(connection, [row.id]).get(row.id, ())


def why(connection: Connection, kind: Kind, user_id: str, zones: Zones, on: date, now: datetime) -> Answered:
    """Say what became of one person's obligation, or why there is none. Never guesses: reads what enrolment reads."""
    whose = [reflection_ledger.c.user_id == user_id, reflection_ledger.c.kind == kind.name]
    row = connection.execute(
        select(reflection_ledger)
        .where(*whose, reflection_ledger.c.on == on)
        .order_by(reflection_ledger.c.since.desc(), reflection_ledger.c.id.desc())
        .limit(1)
    ).one_or_none()
    found = (
        kind.cadence.derived(connection, kind, [(user_id, on)], {user_id: zones}, now)[user_id, on]
        if row is None
        else Answered(row.state, row.reason, _told(connection, row))
    )
    if found.outcome in {DUE, FAILED, DEFERRED} and (row is None or row.ready_at is not None or row.state == DEFERRED):
        return (
            _held_back(connection, kind, user_id)
            or _unaccepted(connection, kind)
            or _parked(connection, kind)
            or _without_room(connection, kind, user_id, row, now)
            or found
        )
    return found


def _without_room(connection: Connection, kind: Kind, user_id: str, row: Any, now: datetime) -> Answered | None:
    budget = budget_of(process_settings())
    if budget is None or not asks(kind) or (row is not None and row.ready_at is None):
        return None
    put_off = row is not None and row.reason == Reason.BUDGET and row.ready_at > now
    over = what_holds(connection, budget, kind, user_id, now) if put_off else over_now(connection, budget, kind, now)
    if over is None:
        return None
    said = waits(over)
    return Answered(DEFERRED, Reason.BUDGET, f"{said[0].upper()}{said[1:]}; `selo budget release` tries again at once.")


def _unaccepted(connection: Connection, kind: Kind) -> Answered | None:
    acceptance = acceptance_of(process_settings()) if asks(kind) else None
    if acceptance is None or acceptance.holds(connection):
        return None
    said = f"{NOT_ACCEPTED[0].upper()}{NOT_ACCEPTED[1:]}"
    return Answered(DEFERRED, Reason.NOT_ACCEPTED, f"{said}; this waits and loses no attempt.")


def _parked(connection: Connection, kind: Kind) -> Answered | None:
    settings = process_settings()
    breaker = breaker_of(settings)
    if breaker is None or not asks(kind):
        return None
    standing = breaker.standing(connection)
    if not standing.is_open:
        return None
    said = sentence(settings, standing)
    return Answered(DEFERRED, Reason.PROVIDER_DOWN, f"{said[0].upper()}{said[1:]}; this waits and loses no attempt.")


def _held_back(connection: Connection, kind: Kind, user_id: str) -> Answered | None:
    paused = pause_of(connection, kind.name, user_id)
    if paused is not None:
        what = "This person is" if paused.user_id else "This kind is"
        return Answered(
            DEFERRED,
            Reason.PAUSED,
            f"{what} paused since {paused.since:%Y-%m-%d %H:%M}Z: {paused.because.rstrip('.')}.",
        )
    verdict = verdict_now(connection)
    if verdict is not None and verdict.holds_back:
        return Answered(
            DEFERRED, Reason.RESOURCES, f"The resource guard holds scheduled work back: {verdict.sentence}."
        )
    return None


def _told(connection: Connection, row: Any) -> str:
    beside = version_sentence(connection, row)
    if beside is not None and row.state in {DONE, UNCHANGED}:
        return beside
    return " ".join(part for part in (_of_row(row), beside) if part)


def _of_row(row: Any) -> str:
    if row.state == DONE:
        return f"Made at {row.settled_at:%Y-%m-%d %H:%M}Z in run {row.run_id} as {row.reflection_id}."
    if row.state == CLAIMED:
        return f"Run {row.run_id} is working on it (attempt {row.attempts})."
    if row.reason in _SENTENCES:
        return _SENTENCES[row.reason]
    if row.state == DUE:
        return f"Due since {row.since:%Y-%m-%d %H:%M}Z; no run has taken it yet."
    if row.state == DEFERRED and row.ready_at is None:
        parent = str(row.reason).removeprefix("waiting_for_")
        return f"It waits for the {parent} of what it covers, which is not done."
    ready = "" if row.ready_at is None else f" Tried again from {row.ready_at:%Y-%m-%d %H:%M:%S}Z."
    return f"{row.attempts} attempts, {row.lost} claims lost.{ready}"
