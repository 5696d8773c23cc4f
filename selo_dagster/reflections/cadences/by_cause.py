"""By a cause: an event, a pattern or somebody's wish makes the row; time alone never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from selo_dagster.people.local_days import Zones, date_at
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.answers import Answered
from selo_dagster.reflections.cadences.facts import facts_of
from selo_dagster.reflections.kind import Ahead, Enrolled, Horizon, Kind
from selo_dagster.reflections.states import DUE, SKIPPED, WAITING, Reason
from selo_dagster.reflections.tables import reflection_ledger, reflection_one_offs
from selo_dagster.store.upsert import insert_missing_uncounted

one_offs = reflection_one_offs


@dataclass(frozen=True)
class ByCause:
    """Never due by itself."""

    dated: bool = False
    after: Kind | None = None

    def enrol(self, connection: Connection, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:  # noqa: ARG002
        """Find nobody: see `ask`."""
        return Enrolled()

    def ahead(self, connection: Connection, kind: Kind, horizon: Horizon) -> list[Ahead]:
        """Return whose wish comes due within the horizon: of what will happen, nothing is known."""
        waiting = connection.execute(
            select(users.c.zone, one_offs.c.due_at, func.count().label("n"))
            .join(users, users.c.id == one_offs.c.user_id)
            .where(
                one_offs.c.kind == kind.name,
                one_offs.c.state == WAITING,
                one_offs.c.due_at <= horizon.until,
                users.c.state == ACTIVE,
                horizon.free,
            )
            .group_by(users.c.zone, one_offs.c.due_at)
        )
        return [Ahead(row.zone, row.due_at.date(), row.due_at, row.n) for row in waiting]

    def open_dates(self, zones: Zones, now: datetime, catchup_days: int) -> tuple[date, ...]:  # noqa: ARG002
        """Return today: nothing else can be asked for."""
        return (date_at(zones, now),)

    def occurrence(self, on: date) -> date:
        """Return the date itself."""
        return on

    def since(self, zones: Zones, on: date) -> datetime | None:  # noqa: ARG002
        """Return None: no date has an instant of its own."""
        return None

    def derived(
        self,
        connection: Connection,
        kind: Kind,  # noqa: ARG002
        wanted: Sequence[tuple[str, date]],
        zones: Mapping[str, Zones],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> dict[tuple[str, date], Answered]:
        """Say that nothing asked for one."""
        dates = [on for _, on in wanted]
        facts = facts_of(connection, sorted({user for user, _ in wanted}), min(dates), max(dates))
        return {
            (user_id, on): Answered.without_row(facts[user_id].reason(on) or Reason.NOTHING_ASKED)
            for user_id, on in wanted
        }


@dataclass(frozen=True)
class Wanted:
    """One reflection to ask for.

    at: the instant of the cause, whose local date the row carries. cause: {"rule", "memories", "context"} of a
    request, {"rule", "trigger", "causes", "count"} of a trigger; private. ready_at: may be claimed from then.
    """

    user_id: str
    zones: Zones
    key: str
    at: datetime
    cause: dict[str, Any]
    ready_at: datetime


def ask_all(connection: Connection, kind: Kind, wanted: Sequence[Wanted], now: datetime) -> list[str | None]:
    """Ask for reflections in the caller's transaction; the same person, kind and key asks once only.

    Returns for each why nothing will be made (`never_interacted`, `inactive`), None where a row is there to be
    claimed. Raises SeloError for an instant without a local date.
    """
    if not wanted:
        return []
    dates = [date_at(one.zones, one.at) for one in wanted]
    facts = facts_of(connection, sorted({one.user_id for one in wanted}), min(dates), max(dates))
    reasons = [
        facts[one.user_id].reason(on) if one.user_id in facts else str(Reason.INACTIVE)
        for one, on in zip(wanted, dates, strict=True)
    ]
    rows = [
        {
            "user_id": one.user_id,
            "kind": kind.name,
            "on": on,
            "key": one.key,
            "state": DUE if reason is None else SKIPPED,
            "reason": reason,
            "since": one.at,
            "ready_at": one.ready_at if reason is None else None,
            "settled_at": None if reason is None else now,
            "cause": one.cause,
        }
        for one, on, reason in zip(wanted, dates, reasons, strict=True)
    ]
    insert_missing_uncounted(connection, reflection_ledger, rows)
    return reasons


def ask(connection: Connection, kind: Kind, wanted: Wanted, now: datetime) -> str | None:
    """Ask for one reflection: see `ask_all`."""
    return ask_all(connection, kind, [wanted], now)[0]
