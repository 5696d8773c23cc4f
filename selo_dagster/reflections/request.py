"""Explicit requests, by hand or by a partition: through the same door, into the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from selo_dagster.errors import SeloError
from selo_dagster.people.history import chunked, zones_of
from selo_dagster.people.local_days import Zones, date_at, last_ended
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.answers import Answered
from selo_dagster.reflections.cadences.every_date import EveryDate
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.pauses import held_now, paused_users
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DONE, DUE, SETTLED, SKIPPED, UNCHANGED, Reason
from selo_dagster.reflections.tables import reflection_days, reflection_ledger
from selo_dagster.store.engine import Store
from selo_dagster.store.types import instant_text
from selo_dagster.store.upsert import insert_missing

ledger = reflection_ledger


@dataclass(frozen=True)
class Wish:
    """What is asked for. users: ids, None for everybody active. on: None for what is due by itself.

    force: also what is done already, as a new version. evolve: let that version undo what the former one asked for.
    called: id → what somebody is called in a refusal, where the id must not be shown.
    """

    request_id: str
    users: tuple[str, ...] | None
    on: date | None
    force: bool = False
    evolve: bool = False
    called: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What a request found at once, for one person and date; the others became rows for a run to claim."""

    user_id: str
    on: date | None
    outcome: str
    reason: str | None


def place(store: Store, kind: Kind, wish: Wish, now: datetime, catchup_days: int) -> list[Reply]:
    """Make everything asked for claimable under `wish.request_id`; returns what needs no run.

    Raises SeloError `not_ended` when a date is asked for that has not ended for one of the named people, and
    `bad_date` when the kind has no row on that date: then nothing at all is changed.
    """
    enrol(store, kind, now, catchup_days)
    with store.write() as connection:
        return place_in(connection, kind, wish, now, catchup_days)


def place_in(connection: Connection, kind: Kind, wish: Wish, now: datetime, catchup_days: int) -> list[Reply]:
    """Do what `place` does in a transaction of the caller's, who has enrolled before."""
    _check_date(kind, wish.on)
    ids = list(wish.users) if wish.users is not None else _everybody(connection)
    zones = zones_of(connection, ids)
    if wish.on is not None and wish.users is not None:
        _refuse_unended(kind, ids, zones, wish.on, now, wish.called)
    replies: list[Reply] = []
    for part in chunked(ids):
        replies += _Part(connection, kind, wish, zones, now, catchup_days).place(part)
    return replies


def _everybody(connection: Connection) -> list[str]:
    return list(connection.execute(select(users.c.id).where(users.c.state == ACTIVE).order_by(users.c.id)).scalars())


def _check_date(kind: Kind, on: date | None) -> None:
    if on is None:
        return
    if not kind.cadence.dated:
        raise SeloError("bad_date", f"{kind.name} is not made for dates: leave the date out")
    carried = kind.cadence.occurrence(on)
    if carried != on:
        raise SeloError(
            "bad_date", f"{kind.name} is made for {carried:%A}s only, and {on} is a {on:%A}: use {carried} for it"
        )


def _refuse_unended(
    kind: Kind, ids: Sequence[str], zones: dict[str, Zones], on: date, now: datetime, called: Mapping[str, str]
) -> None:
    for user_id in ids:
        since = kind.cadence.since(zones[user_id], on) if user_id in zones else None
        if since is not None and since > now:
            who = called.get(user_id, user_id)
            raise SeloError("not_ended", f"{on} has not ended for {who}: it does at {since:%Y-%m-%dT%H:%M:%SZ}")


@dataclass(frozen=True)
class _Part:
    """Some of the people that a request is about."""

    connection: Connection
    kind: Kind
    wish: Wish
    zones: dict[str, Zones]
    now: datetime
    catchup_days: int

    def place(self, ids: list[str]) -> list[Reply]:
        on_hold = self._on_hold(ids)
        free = [user_id for user_id in ids if user_id not in on_hold]
        replies = [Reply(user_id, self.wish.on, DEFERRED, Reason.PAUSED) for user_id in ids if user_id in on_hold]
        if not free:
            return replies
        rows = self._rows(free)
        fresh: list[dict[str, Any]] = []
        unmade: list[tuple[str, date]] = []
        for user_id in free:
            theirs = rows.get(user_id, [])
            for on in self._dates(user_id, theirs):
                there = [row for row in theirs if row.on == on]
                if not there:
                    unmade.append((user_id, on))
                replies += [reply for row in there if (reply := self._with_row(user_id, row)) is not None]
        derived = self._derived(unmade)
        for user_id, on in unmade:
            made = self._new_row(user_id, on, derived[user_id, on])
            if isinstance(made, Reply):
                replies.append(made)
            else:
                fresh.append(made)
        self._insert(fresh)
        return replies

    def _on_hold(self, ids: list[str]) -> set[str]:
        held = held_now(self.connection, self.kind.name)
        if held.everybody:
            return set(ids)
        if not held.somebody:
            return set()
        return set(self.connection.execute(paused_users(self.kind.name, self.now)).scalars()).intersection(ids)

    def _rows(self, ids: list[str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        chosen = [ledger.c.on >= self.now.date() - timedelta(days=self.catchup_days + 8)]
        if self.wish.on is not None:
            chosen = [ledger.c.on == self.wish.on]
        elif not self.kind.cadence.dated:
            chosen = [ledger.c.state.not_in(SETTLED)]
        for row in self.connection.execute(
            select(ledger.c.id, ledger.c.user_id, ledger.c.on, ledger.c.state, ledger.c.reason, ledger.c.ready_at)
            .where(ledger.c.kind == self.kind.name, ledger.c.user_id.in_(ids), *chosen)
            .order_by(ledger.c.user_id, ledger.c.on.desc(), ledger.c.id)
        ):
            found.setdefault(row.user_id, []).append(row)
        return found

    def _dates(self, user_id: str, rows: list[Any]) -> list[date]:
        """Return the date asked for; else those still open; else the last one, to say what became of it."""
        if self.wish.on is not None:
            return [self.wish.on]
        zones = self.zones.get(user_id)
        if not zones:
            return [self.now.date()]
        cadence = self.kind.cadence
        if not cadence.dated:
            return list(dict.fromkeys(row.on for row in rows)) or [date_at(zones, self.now)]
        unsettled = {row.on for row in rows if row.state not in SETTLED}
        recent = cadence.open_dates(zones, self.now, self.catchup_days)
        still_open = [on for on in recent if on in unsettled]
        return still_open or [recent[0] if recent else cadence.occurrence(last_ended(zones, self.now))]

    def _derived(self, unmade: list[tuple[str, date]]) -> dict[tuple[str, date], Answered]:
        if not unmade:
            return {}
        return self.kind.cadence.derived(self.connection, self.kind, unmade, self.zones, self.now)

    def _new_row(self, user_id: str, on: date, found: Answered) -> dict[str, Any] | Reply:
        cadence = self.kind.cadence
        zones = self.zones.get(user_id, ())
        due = found.outcome == DUE or found.open_to_request
        # Whoever insists gets what can be made without the parent: it is read from the sources instead.
        due = due or (found.outcome == DEFERRED and self.wish.force)
        if not due or not zones:
            return Reply(user_id, on, found.outcome, found.reason)
        since = cadence.since(zones, on) if cadence.dated else self.now
        if since is None:
            return Reply(user_id, on, SKIPPED, Reason.NOT_LIVED)
        return {
            "user_id": user_id,
            "kind": self.kind.name,
            "on": on,
            "key": on.isoformat() if cadence.dated else instant_text(self.now),
            "state": DUE,
            "since": since,
            "ready_at": self.now,
            "request_id": self.wish.request_id,
        }

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        insert_missing(self.connection, ledger, rows)
        if rows and isinstance(self.kind.cadence, EveryDate):
            self.connection.execute(
                update(reflection_days)
                .where(reflection_days.c.user_id == bindparam("whose"), reflection_days.c.on == bindparam("day"))
                .values(enrolled=True),
                [{"whose": row["user_id"], "day": row["on"]} for row in rows],
            )

    def _with_row(self, user_id: str, row: Any) -> Reply | None:
        if row.state == CLAIMED:
            return Reply(user_id, row.on, DEFERRED, Reason.HELD_ELSEWHERE)
        if row.state in {DONE, UNCHANGED} and not self.wish.force:
            return Reply(user_id, row.on, UNCHANGED, Reason.ALREADY_DONE)
        if row.state == SKIPPED and self.wish.on is None and not self.wish.force:
            return Reply(user_id, row.on, SKIPPED, row.reason)
        if row.state == DEFERRED and row.ready_at is None and not self.wish.force:
            return Reply(user_id, row.on, DEFERRED, row.reason)
        made = row.state == DONE or row.reason == Reason.LOSS_GUARD
        changed = self.connection.execute(
            update(ledger)
            .where(ledger.c.id == row.id, ledger.c.state == row.state)
            .values(
                state=DUE,
                reason=None,
                codes=None,
                ready_at=self.now,
                request_id=self.wish.request_id,
                evolve=self.wish.evolve,
                settled_at=None,
                # Whoever asks by hand has looked: the row starts afresh.
                lost=0,
                forgiven=ledger.c.attempts,
                **({"version": ledger.c.version + 1} if made else {}),
            )
        ).rowcount
        return None if changed else Reply(user_id, row.on, DEFERRED, Reason.HELD_ELSEWHERE)
