"""By a cause: an event, a pattern or somebody's wish makes the row; time alone never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from selo_dagster.people.local_days import Zones, date_at
from selo_dagster.reflections.answers import Answered
from selo_dagster.reflections.cadences.facts import facts_of
from selo_dagster.reflections.kind import Enrolled, Kind
from selo_dagster.reflections.states import DUE, SKIPPED, Reason
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.upsert import insert_missing


@dataclass(frozen=True)
class ByCause:
    """Never due by itself."""

    dated: bool = False
    after: Kind | None = None

    def enrol(self, connection: Connection, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:  # noqa: ARG002
        """Find nobody: see `ask`."""
        return Enrolled()

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


def ask(
    connection: Connection,
    kind: Kind,
    *,
    user_id: str,
    zones: Zones,
    key: str,
    at: datetime,
    cause: dict[str, Any],
    ready_at: datetime,
    now: datetime,
) -> str | None:
    """Ask for one reflection in the caller's transaction; the same key asks once only.

    at: the instant of the cause, whose local date the row carries. cause: {"rule", "memories", "context"}; private.
    Returns why nothing will be made (`never_interacted`), None where a row is there to be claimed.
    """
    on = date_at(zones, at)
    never = facts_of(connection, [user_id], on, on)[user_id].reason(on)
    values = {
        "user_id": user_id,
        "kind": kind.name,
        "on": on,
        "key": key,
        "state": DUE if never is None else SKIPPED,
        "reason": never,
        "since": at,
        "ready_at": ready_at if never is None else None,
        "settled_at": None if never is None else now,
        "cause": cause,
    }
    insert_missing(connection, reflection_ledger, [values])
    return never
