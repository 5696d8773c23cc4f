"""Why a person was or was not reflected on a date: read from the ledger, or derived where there is no row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from selo_dagster.errors import SeloError
from selo_dagster.people.history import chunked, zones_of
from selo_dagster.people.local_days import Zones, window
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.reflections.kinds import Kind
from selo_dagster.reflections.states import CLAIMED, DONE, DUE, SKIPPED, Reason
from selo_dagster.reflections.tables import reflection_days, reflection_ledger


@dataclass(frozen=True)
class Answered:
    """One person, one date: outcome as in the ledger or derived, the reason's code, and a sentence."""

    outcome: str
    reason: str | None
    detail: str


_SENTENCES = {
    Reason.NEVER_INTERACTED: "There is no message by this person and no memory of them up to that date.",
    Reason.NOTHING_NEW: "There was contact before, but nothing to read on that date.",
    Reason.NOT_ENDED: "That date has not ended where this person lives.",
    Reason.NOT_LIVED: "That date was never lived: a move or the zone itself skipped it.",
    Reason.INACTIVE: "This person is no longer active.",
    Reason.TOO_OLD: "That date was further back than SELO_CATCHUP_DAYS when it was first seen; ask for it with --on.",
    Reason.COULD_NOT_LOOK: "Their row cannot be used: look at their time zone.",
}


def person(connection: Connection, who: str) -> tuple[str, str, Zones]:
    """Return (id, key, zone history) of a person named by id or by key. Raises SeloError `unknown_user`."""
    row = connection.execute(
        select(users.c.id, users.c.key)
        .where((users.c.id == who) | (users.c.key == who))
        .order_by((users.c.id == who).desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise SeloError("unknown_user", f"there is no user {who[:80]!r}")
    return row.id, row.key, zones_of(connection, [row.id]).get(row.id, ())


def why(connection: Connection, kind: Kind, user_id: str, zones: Zones, on: date, now: datetime) -> Answered:
    """Say what became of one person's obligation, or why there is none. Never guesses: reads what enrolment reads."""
    row = connection.execute(
        select(reflection_ledger).where(
            reflection_ledger.c.user_id == user_id,
            reflection_ledger.c.kind == kind.name,
            reflection_ledger.c.key == on.isoformat(),
        )
    ).one_or_none()
    if row is not None:
        return Answered(row.state, row.reason, _of_row(row))
    return derived(facts_of(connection, [user_id], on, on)[user_id], zones, on, now)


@dataclass(frozen=True)
class Facts:
    """What the derivation needs of a person. first: earliest readable date; days: readable ones in a range."""

    state: str
    first: date | None
    days: frozenset[date]


def facts_of(connection: Connection, user_ids: Sequence[str], first: date, last: date) -> dict[str, Facts]:
    """Return the facts of existing people, with their readable dates from `first` to `last`."""
    found: dict[str, Facts] = {}
    for part in chunked(user_ids):
        earliest = {
            row.user_id: row.first
            for row in connection.execute(
                select(reflection_days.c.user_id, func.min(reflection_days.c.on).label("first"))
                .where(reflection_days.c.user_id.in_(part))
                .group_by(reflection_days.c.user_id)
            )
        }
        days: dict[str, set[date]] = defaultdict(set)
        for row in connection.execute(
            select(reflection_days.c.user_id, reflection_days.c.on).where(
                reflection_days.c.user_id.in_(part), reflection_days.c.on.between(first, last)
            )
        ):
            days[row.user_id].add(row.on)
        for row in connection.execute(select(users.c.id, users.c.state).where(users.c.id.in_(part))):
            found[row.id] = Facts(row.state, earliest.get(row.id), frozenset(days[row.id]))
    return found


def derived(facts: Facts, zones: Zones, on: date, now: datetime) -> Answered:
    """Say why there is no row. `due` where there is something to read that has not been enrolled yet."""
    reason = _reason(facts, zones, on, now)
    if reason is None:
        return Answered(DUE, None, "There is something to read on that date; the next look enrols it.")
    return Answered(SKIPPED, reason, _SENTENCES[reason])


def _reason(facts: Facts, zones: Zones, on: date, now: datetime) -> str | None:
    if facts.state == TOMBSTONED:
        return Reason.INACTIVE
    if not zones:
        return Reason.COULD_NOT_LOOK
    lived = window(zones, on)
    if lived is None:
        return Reason.NOT_LIVED
    if lived.end > now:
        return Reason.NOT_ENDED
    if facts.first is None or facts.first > on:
        return Reason.NEVER_INTERACTED
    return None if on in facts.days else Reason.NOTHING_NEW


def _of_row(row: Any) -> str:
    if row.state == DONE:
        return f"Reflection {row.reflection_id} was made at {row.settled_at:%Y-%m-%d %H:%M}Z in run {row.run_id}."
    if row.state == CLAIMED:
        return f"Run {row.run_id} is working on it (attempt {row.attempts})."
    if row.reason in _SENTENCES:
        return _SENTENCES[row.reason]
    if row.state == DUE:
        return f"Due since {row.since:%Y-%m-%d %H:%M}Z; no run has taken it yet."
    ready = "" if row.ready_at is None else f" Tried again from {row.ready_at:%Y-%m-%d %H:%M:%S}Z."
    return f"{row.attempts} attempts, {row.lost} of them lost.{ready}"
