"""Reads the contexts of a whole chunk of people with a handful of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal, cast

from sqlalchemy import Connection, Table, exists, func, select

from selo_dagster.memory.tables import memories, messages
from selo_dagster.people.history import zones_of
from selo_dagster.people.local_days import Window, Zones, window
from selo_dagster.people.persona import traits_of
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Context, Source, packed
from selo_dagster.reflections.states import Reason
from selo_dagster.reflections.tables import reflection_days, reflection_sources, reflections

MESSAGES_A_DAY: Final = 400
MEMORIES_A_DAY: Final = 200
"""The newest messages and weightiest memories of a day that are looked at; the others are counted."""

SOURCE_CHARACTERS: Final = 4_000
"""Characters of one source that are read: one pasted book must not fill the process."""

EARLIER: Final = 2
EARLIER_CHARACTERS: Final = 1_600
LATE_DAYS: Final = 31


def gather(connection: Connection, claims: Sequence[Claim], budget: int) -> dict[int, Context | str]:
    """Return for each claim (by its ledger id) what its reflection reads, or the reason why it reads nothing."""
    user_ids = sorted({one.user_id for one in claims})
    names = {
        row.id: (row.name, row.state)
        for row in connection.execute(select(users.c.id, users.c.name, users.c.state).where(users.c.id.in_(user_ids)))
    }
    zones = zones_of(connection, user_ids)
    found: dict[int, Context | str] = {}
    windows: dict[int, Window] = {}
    for one in claims:
        if one.user_id not in names or names[one.user_id][1] != ACTIVE:
            found[one.id] = Reason.INACTIVE
        elif one.user_id not in zones:
            found[one.id] = Reason.COULD_NOT_LOOK
        elif (lived := window(zones[one.user_id], one.on)) is None:
            found[one.id] = Reason.NOT_LIVED
        else:
            windows[one.id] = lived
    wanted = [one for one in claims if one.id in windows]
    days = _day_sources(connection, wanted, windows)
    late = _late_sources(connection, wanted, zones)
    earlier = _earlier(connection, wanted)
    traits = traits_of(connection, user_ids)
    for one in wanted:
        sources, more = days[one.id]
        late_sources, late_days = late.get(one.id, ([], ()))
        kept, dropped = packed([*sources, *late_sources], budget)
        context = Context(
            user_id=one.user_id,
            name=names[one.user_id][0],
            window=windows[one.id],
            sources=kept,
            dropped=dropped,
            more=more,
            earlier=tuple(earlier.get(one.id, ())),
            persona={trait.name: trait.value for trait in traits[one.user_id]},
            late_days=late_days,
        )
        found[one.id] = context if context.interacted else Reason.NOTHING_NEW
    return found


def _day_sources(
    connection: Connection, claims: Sequence[Claim], windows: Mapping[int, Window]
) -> dict[int, tuple[list[Source], int]]:
    found: dict[int, tuple[list[Source], int]] = {one.id: ([], 0) for one in claims}
    by_window: dict[Window, list[Claim]] = defaultdict(list)
    for one in claims:
        by_window[windows[one.id]].append(one)
    for lived, group in by_window.items():
        whose = {one.user_id: one.id for one in group}
        for table, limit in ((messages, MESSAGES_A_DAY), (memories, MEMORIES_A_DAY)):
            counted: dict[str, int] = {}
            for row in connection.execute(_of_window(table, list(whose), lived, limit)):
                found[whose[row.user_id]][0].append(_source(table, row))
                counted[row.user_id] = row.total
            for user_id, total in counted.items():
                sources, more = found[whose[user_id]]
                found[whose[user_id]] = (sources, more + max(0, total - limit))
    return found


def _of_window(table: Table, user_ids: list[str], lived: Window, limit: int) -> Any:
    # The order decides which ones are left out on a day without measure.
    first = [table.c.importance.desc()] if table is memories else []
    ranked = (
        select(
            *_columns(table),
            func.row_number()
            .over(partition_by=table.c.user_id, order_by=[*first, table.c.at.desc(), table.c.id.desc()])
            .label("place"),
            func.count().over(partition_by=table.c.user_id).label("total"),
        )
        .where(table.c.user_id.in_(user_ids), table.c.at >= lived.start, table.c.at < lived.end)
        .subquery()
    )
    return select(ranked).where(ranked.c.place <= limit)


def _columns(table: Table) -> list[Any]:
    shared = [table.c.id, table.c.user_id, table.c.at, func.substr(table.c.content, 1, SOURCE_CHARACTERS).label("text")]
    if table is messages:
        return [*shared, table.c.role]
    return [*shared, table.c.kind, table.c.importance, table.c.tags]


def _source(table: Table, row: Any, *, late: bool = False) -> Source:
    if table is messages:
        role = cast("Literal['user', 'assistant', 'system']", row.role)
        return Source("message", row.id, row.text, row.at, role=role, late=late)
    tags = tuple(str(tag) for tag in row.tags if isinstance(tag, str)) if isinstance(row.tags, list) else ()
    return Source("memory", row.id, row.text, row.at, importance=row.importance, tags=tags, kind=row.kind, late=late)


def _late_sources(
    connection: Connection, claims: Sequence[Claim], zones: Mapping[str, Zones]
) -> dict[int, tuple[list[Source], tuple[date, ...]]]:
    # A day that was reflected before this source came: it is shown now, with its true time.
    flagged = connection.execute(
        select(reflection_days.c.user_id, reflection_days.c.on)
        .where(reflection_days.c.late, reflection_days.c.user_id.in_([one.user_id for one in claims]))
        .order_by(reflection_days.c.on.desc())
    ).all()
    days: dict[str, list[date]] = defaultdict(list)
    for user_id, on in flagged:
        days[user_id].append(on)
    found: dict[int, tuple[list[Source], tuple[date, ...]]] = {}
    for one in claims:
        past = tuple(on for on in days.get(one.user_id, ()) if on < one.on)[:LATE_DAYS]
        if past:
            lived = [span for on in past if (span := window(zones[one.user_id], on)) is not None]
            found[one.id] = (_unread(connection, one.user_id, lived), past)
    return found


def _unread(connection: Connection, user_id: str, lived: Iterable[Window]) -> list[Source]:
    found: list[Source] = []
    for span in lived:
        for table, kind, limit in ((messages, "message", MESSAGES_A_DAY), (memories, "memory", MEMORIES_A_DAY)):
            read = exists().where(reflection_sources.c.source == kind, reflection_sources.c.source_id == table.c.id)
            rows = connection.execute(
                select(*_columns(table))
                .where(table.c.user_id == user_id, table.c.at >= span.start, table.c.at < span.end, ~read)
                .order_by(table.c.at.desc(), table.c.id)
                .limit(limit)
            )
            found += [_source(table, row, late=True) for row in rows]
    return found


def _earlier(connection: Connection, claims: Sequence[Claim]) -> dict[int, list[str]]:
    # Only dates before the one in hand: a caught-up night must not know what came after it.
    by_on: dict[tuple[str, date], list[Claim]] = defaultdict(list)
    for one in claims:
        by_on[one.kind, one.on].append(one)
    found: dict[int, list[str]] = {}
    for (kind, on), group in by_on.items():
        whose = {one.user_id: one.id for one in group}
        newest = (
            select(
                reflections.c.user_id,
                func.substr(reflections.c.content, 1, EARLIER_CHARACTERS).label("text"),
                func.row_number()
                .over(
                    partition_by=reflections.c.user_id,
                    order_by=[reflections.c.on.desc(), reflections.c.version.desc()],
                )
                .label("place"),
            )
            .where(reflections.c.kind == kind, reflections.c.on < on, reflections.c.user_id.in_(list(whose)))
            .subquery()
        )
        for row in connection.execute(
            select(newest).where(newest.c.place <= EARLIER).order_by(newest.c.user_id, newest.c.place)
        ):
            found.setdefault(whose[row.user_id], []).append(row.text)
    return found
