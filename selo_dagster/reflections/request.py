"""Explicit requests, by hand or by a partition: through the same door, into the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from selo_dagster.errors import SeloError
from selo_dagster.people.history import chunked, zones_of
from selo_dagster.people.local_days import Zones, ended_dates, last_ended, window
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.answers import Facts, derived, facts_of
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import Kind
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DONE, DUE, SETTLED, SKIPPED, UNCHANGED, Reason
from selo_dagster.reflections.tables import reflection_days, reflection_ledger
from selo_dagster.store.engine import Store
from selo_dagster.store.upsert import insert_missing

ledger = reflection_ledger


@dataclass(frozen=True)
class Wish:
    """What is asked for. users: ids, None for everybody active. on: None for what is due by itself."""

    request_id: str
    users: tuple[str, ...] | None
    on: date | None
    force: bool = False


@dataclass(frozen=True)
class Reply:
    """What a request found at once, for one person and date; the others became rows for a run to claim."""

    user_id: str
    on: date | None
    outcome: str
    reason: str | None


def place(store: Store, kind: Kind, wish: Wish, now: datetime, catchup_days: int) -> list[Reply]:
    """Make everything asked for claimable under `wish.request_id`; returns what needs no run.

    Raises SeloError `not_ended` when a date is asked for that has not ended for one of the named people:
    then nothing at all is changed.
    """
    enrol(store, kind, now, catchup_days)
    with store.write() as connection:
        return place_in(connection, kind, wish, now, catchup_days)


def place_in(connection: Connection, kind: Kind, wish: Wish, now: datetime, catchup_days: int) -> list[Reply]:
    """Do what `place` does in a transaction of the caller's, who has enrolled before."""
    ids = list(wish.users) if wish.users is not None else _everybody(connection)
    zones = zones_of(connection, ids)
    if wish.on is not None and wish.users is not None:
        _refuse_unended(ids, zones, wish.on, now)
    replies: list[Reply] = []
    for part in chunked(ids):
        replies += _Part(connection, kind, wish, zones, now, catchup_days).place(part)
    return replies


def _everybody(connection: Connection) -> list[str]:
    return list(connection.execute(select(users.c.id).where(users.c.state == ACTIVE).order_by(users.c.id)).scalars())


def _refuse_unended(ids: Sequence[str], zones: dict[str, Zones], on: date, now: datetime) -> None:
    for user_id in ids:
        lived = window(zones[user_id], on) if user_id in zones else None
        if lived is not None and lived.end > now:
            raise SeloError("not_ended", f"{on} has not ended for {user_id}: it does at {lived.end:%Y-%m-%dT%H:%M:%SZ}")


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
        rows = self._rows(ids)
        wanted = [(user_id, on) for user_id in ids for on in self._dates(user_id, rows.get(user_id, {}))]
        dates = [on for _, on in wanted]
        facts = facts_of(self.connection, ids, min(dates), max(dates))
        replies: list[Reply] = []
        fresh: list[dict[str, Any]] = []
        for user_id, on in wanted:
            row = rows.get(user_id, {}).get(on)
            made = self._new_row(user_id, on, facts[user_id]) if row is None else self._with_row(user_id, on, row)
            if isinstance(made, Reply):
                replies.append(made)
            elif made is not None:
                fresh.append(made)
        self._insert(fresh)
        return replies

    def _rows(self, ids: list[str]) -> dict[str, dict[date, Any]]:
        found: dict[str, dict[date, Any]] = {}
        on_that_date = [] if self.wish.on is None else [ledger.c.on == self.wish.on]
        oldest = self.now.date() - timedelta(days=self.catchup_days + 2)
        for row in self.connection.execute(
            select(ledger.c.id, ledger.c.user_id, ledger.c.on, ledger.c.state, ledger.c.reason).where(
                ledger.c.kind == self.kind.name,
                ledger.c.user_id.in_(ids),
                *(on_that_date or [ledger.c.on >= oldest]),
            )
        ):
            found.setdefault(row.user_id, {})[row.on] = row
        return found

    def _dates(self, user_id: str, rows: dict[date, Any]) -> list[date]:
        """Return the date asked for; else those still open; else the last one, to say what became of it."""
        if self.wish.on is not None:
            return [self.wish.on]
        zones = self.zones.get(user_id)
        if not zones:
            return [self.now.date()]
        recent = ended_dates(zones, self.now, self.catchup_days)
        still_open = [on for on in recent if on in rows and rows[on].state not in SETTLED]
        return still_open or [last_ended(zones, self.now)]

    def _new_row(self, user_id: str, on: date, facts: Facts) -> dict[str, Any] | Reply:
        zones = self.zones.get(user_id, ())
        found = derived(facts, zones, on, self.now)
        lived = window(zones, on) if zones else None
        if found.outcome != DUE or lived is None:
            return Reply(user_id, on, found.outcome, found.reason)
        return {
            "user_id": user_id,
            "kind": self.kind.name,
            "on": on,
            "key": on.isoformat(),
            "state": DUE,
            "since": lived.end,
            "ready_at": self.now,
            "request_id": self.wish.request_id,
        }

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        insert_missing(self.connection, ledger, rows)
        if rows:
            self.connection.execute(
                update(reflection_days)
                .where(reflection_days.c.user_id == bindparam("whose"), reflection_days.c.on == bindparam("day"))
                .values(enrolled=True),
                [{"whose": row["user_id"], "day": row["on"]} for row in rows],
            )

    def _with_row(self, user_id: str, on: date, row: Any) -> Reply | None:
        if row.state == CLAIMED:
            return Reply(user_id, on, DEFERRED, Reason.HELD_ELSEWHERE)
        if row.state in {DONE, UNCHANGED} and not self.wish.force:
            return Reply(user_id, on, UNCHANGED, Reason.ALREADY_DONE)
        if row.state == SKIPPED and self.wish.on is None and not self.wish.force:
            return Reply(user_id, on, SKIPPED, row.reason)
        changed = self.connection.execute(
            update(ledger)
            .where(ledger.c.id == row.id, ledger.c.state == row.state)
            .values(
                state=DUE,
                reason=None,
                codes=None,
                ready_at=self.now,
                request_id=self.wish.request_id,
                settled_at=None,
                # Whoever asks by hand has looked: the row starts afresh.
                lost=0,
                forgiven=ledger.c.attempts,
                **({"version": ledger.c.version + 1} if row.state == DONE else {}),
            )
        ).rowcount
        return None if changed else Reply(user_id, on, DEFERRED, Reason.HELD_ELSEWHERE)
