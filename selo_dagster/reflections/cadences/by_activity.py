"""By activity: the livelier a person is, the sooner what they left unread is reflected on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, exists, extract, false, func, or_, select

from selo_dagster.clock import UTC
from selo_dagster.memory.stream import position
from selo_dagster.people.history import chunked, is_zone, zones_of
from selo_dagster.people.local_days import Zones, date_at, last_ended, window, windows
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.activity.cadence import cadences, is_news, move_read
from selo_dagster.reflections.answers import Answered
from selo_dagster.reflections.cadences.facts import facts_of
from selo_dagster.reflections.cadences.rows import Opening, row, staying, was_on_hold
from selo_dagster.reflections.days import READER
from selo_dagster.reflections.kind import Ahead, Enrolled, Horizon, Kind
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DUE, FAILED, UNCHANGED, Reason
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.store.types import instant_text
from selo_dagster.store.upsert import insert_missing

ledger = reflection_ledger
OPEN: Final = (DUE, CLAIMED, DEFERRED, FAILED)
_BIT: Final = timedelta(microseconds=1)
_QUARTER_S: Final = 900


@dataclass(frozen=True)
class ByActivity:
    """Due an interval after the oldest unread word or memory, and at the end of its date at last.

    after: the kind that reads the whole date; what it has read is no news any more.
    """

    after: Kind | None = None
    dated: bool = False

    def enrol(self, connection: Connection, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:  # noqa: ARG002
        """Insert a row for everybody whose unread is due; whoever has nothing unread after all costs no row."""
        due = paused = waiting = 0
        mine = ledger.alias()
        busy = exists().where(mine.c.user_id == cadences.c.user_id, mine.c.kind == kind.name, mine.c.state.in_(OPEN))
        found = connection.execute(
            select(
                cadences.c.user_id,
                cadences.c.unread_since,
                cadences.c.due_at,
                exists().where(is_news(cadences.c.user_id, cadences.c.read_seq)).label("news"),
            )
            .join(users, users.c.id == cadences.c.user_id)
            .where(cadences.c.due_at <= now, users.c.state == ACTIVE, ~busy)
            .order_by(cadences.c.user_id)
        ).all()
        upto = position(connection, READER)
        for part in _parts(found):
            zones = zones_of(connection, [one.user_id for one in part])
            dates = {one.user_id: date_at(zones[one.user_id], one.unread_since) for one in part if one.user_id in zones}
            held = self._waiting(connection, dates)
            for one in part:
                if one.user_id not in dates:
                    continue
                lived = window(zones[one.user_id], dates[one.user_id])
                if one.user_id in held and lived is not None and one.due_at >= lived.end:
                    waiting += 1
                elif not one.news:
                    move_read(connection, one.user_id, upto)
                else:
                    on = date_at(zones[one.user_id], one.due_at - _BIT)
                    added = self._insert(connection, kind, one.user_id, on, one.due_at, now)
                    due += added
                    paused += 1 - added
                    if not added:
                        move_read(connection, one.user_id, upto)
        return Enrolled(due, 0, paused, waiting)

    def ahead(self, connection: Connection, kind: Kind, horizon: Horizon) -> list[Ahead]:
        """Return whose unread comes due within the horizon, to the quarter of an hour.

        What is due only at the end of its date is left out: the kind that reads the whole date reads it first.
        """
        mine = ledger.alias()
        busy = exists().where(mine.c.user_id == cadences.c.user_id, mine.c.kind == kind.name, mine.c.state.in_(OPEN))
        seconds = extract("epoch", cadences.c.due_at)
        quarter = (seconds - seconds % _QUARTER_S).label("quarter")
        statement = (
            select(users.c.zone, quarter, func.count().label("n"))
            .join(users, users.c.id == cadences.c.user_id)
            .where(
                cadences.c.due_at <= horizon.until,
                users.c.state == ACTIVE,
                ~busy,
                horizon.free,
                exists().where(is_news(cadences.c.user_id, cadences.c.read_seq)),
                *([] if self.after is None else [~self._at_day_end(connection, horizon)]),
            )
            .group_by(users.c.zone, quarter)
        )
        found = []
        for one in connection.execute(statement):
            # The look at the end of the quarter finds all of it.
            since = datetime.fromtimestamp(int(one.quarter) + _QUARTER_S, UTC)
            found.append(Ahead(one.zone, since.date(), since, one.n))
        return found

    def _at_day_end(self, connection: Connection, horizon: Horizon) -> ColumnElement[bool]:
        ends: dict[datetime, list[str]] = {}
        for (zone,) in connection.execute(select(users.c.zone).distinct()):
            if is_zone(zone):
                lived = staying(zone)
                last = date_at(lived, horizon.until)
                for one in windows(lived, last_ended(lived, horizon.now), last):
                    ends.setdefault(one.end, []).append(zone)
        return or_(
            false(), *(and_(cadences.c.due_at == end, users.c.zone.in_(some)) for end, some in sorted(ends.items()))
        )

    def _insert(
        self, connection: Connection, kind: Kind, user_id: str, on: date, since: datetime, now: datetime
    ) -> int:
        reason = Reason.PAUSED if was_on_hold(connection, kind, user_id, since) else None
        values = row(kind, user_id, Opening(on, since, reason), now) | {"key": instant_text(since)}
        added = insert_missing(connection, ledger, [values])
        return added if reason is None else 0

    def _waiting(self, connection: Connection, dates: Mapping[str, date]) -> set[str]:
        if self.after is None:
            return set()
        found: set[str] = set()
        for on in sorted(set(dates.values())):
            for part in chunked([user for user in dates if dates[user] == on]):
                found |= set(
                    connection.execute(
                        select(ledger.c.user_id).where(
                            ledger.c.kind == self.after.name,
                            ledger.c.key == on.isoformat(),
                            ledger.c.user_id.in_(part),
                            ledger.c.state.in_(OPEN),
                        )
                    ).scalars()
                )
        return found

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
        zones: Mapping[str, Zones],
        now: datetime,
    ) -> dict[tuple[str, date], Answered]:
        """Say what is unread and when it is due; `due` where there is something, so that a request may take it now."""
        dates = [on for _, on in wanted]
        facts = facts_of(connection, sorted({user for user, _ in wanted}), min(dates), max(dates))
        rows = {}
        for part in chunked(sorted(facts)):
            for one in connection.execute(
                select(
                    cadences.c.user_id,
                    cadences.c.due_at,
                    exists().where(is_news(cadences.c.user_id, cadences.c.read_seq)).label("news"),
                ).where(cadences.c.user_id.in_(part))
            ):
                rows[one.user_id] = one
        found = {}
        for user_id, on in wanted:
            reason = facts[user_id].reason(on)
            unread = user_id in rows and rows[user_id].news
            if reason is not None:
                found[user_id, on] = Answered.without_row(reason)
            elif not zones.get(user_id):
                found[user_id, on] = Answered.without_row(Reason.COULD_NOT_LOOK)
            elif not unread:
                found[user_id, on] = Answered(
                    UNCHANGED, Reason.NOTHING_NEW, "Nothing is unread since it was last read."
                )
            elif rows[user_id].due_at is not None and rows[user_id].due_at > now:
                found[user_id, on] = Answered(
                    DEFERRED,
                    Reason.NOT_YET,
                    f"Something is unread; it is due at {rows[user_id].due_at:%Y-%m-%d %H:%M}Z.",
                    open_to_request=True,
                )
            else:
                found[user_id, on] = Answered.without_row(None)
        return found


def _parts(rows: Sequence[Any], size: int = 500) -> list[Sequence[Any]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
