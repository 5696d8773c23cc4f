"""What is known of people for whom there is no row: the same facts that enrolment goes by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select

from selo_dagster.people.history import chunked
from selo_dagster.people.tables import TOMBSTONED, users
from selo_dagster.reflections.states import Reason
from selo_dagster.reflections.tables import reflection_days


@dataclass(frozen=True)
class Facts:
    """What the derivation needs of a person. first: earliest readable date; days: readable ones in a range."""

    state: str
    first: date | None
    days: frozenset[date]

    def reason(self, on: date) -> str | None:
        """Return why nothing can be made for somebody on a date, as far as these facts tell."""
        if self.state == TOMBSTONED:
            return Reason.INACTIVE
        return Reason.NEVER_INTERACTED if self.first is None or self.first > on else None


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
