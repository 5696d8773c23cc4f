"""Sources as they lie in the tables: of a window, by their ids, and former reflections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal, cast

from sqlalchemy import ColumnElement, Connection, Table, func, select

from selo_dagster.memory.tables import memories, messages
from selo_dagster.people.history import chunked
from selo_dagster.people.local_days import Window
from selo_dagster.reflections.audits.tables import memory_retirements
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Source
from selo_dagster.reflections.tables import reflections

MESSAGES_A_DAY: Final = 400
MEMORIES_A_DAY: Final = 200
"""The newest messages and weightiest memories of a window that are looked at; the others are counted."""

SOURCE_CHARACTERS: Final = 4_000
"""Characters of one source that are read: one pasted book must not fill the process."""

EARLIER: Final = 2
EARLIER_CHARACTERS: Final = 1_600


def sources_of(
    connection: Connection, claims: Sequence[Claim], windows: Mapping[int, Window]
) -> dict[int, tuple[list[Source], int]]:
    """Return for each claim what its window holds, and how many more there are than were read."""
    found: dict[int, tuple[list[Source], int]] = {one.id: ([], 0) for one in claims}
    by_window: dict[Window, list[Claim]] = defaultdict(list)
    for one in claims:
        by_window[windows[one.id]].append(one)
    for lived, group in by_window.items():
        whose = {one.user_id: one.id for one in group}
        for table, limit in ((messages, MESSAGES_A_DAY), (memories, MEMORIES_A_DAY)):
            counted: dict[str, int] = {}
            for row in connection.execute(_of_window(table, list(whose), lived, limit)):
                found[whose[row.user_id]][0].append(as_source(table, row))
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
            *columns_of(table),
            func.row_number()
            .over(partition_by=table.c.user_id, order_by=[*first, table.c.at.desc(), table.c.id.desc()])
            .label("place"),
            func.count().over(partition_by=table.c.user_id).label("total"),
        )
        .where(table.c.user_id.in_(user_ids), table.c.at >= lived.start, table.c.at < lived.end, *kept(table))
        .subquery()
    )
    return select(ranked).where(ranked.c.place <= limit)


def columns_of(table: Table) -> list[Any]:
    """Return what is read of a message or memory; its text is cut in the database."""
    shared = [table.c.id, table.c.user_id, table.c.at, func.substr(table.c.content, 1, SOURCE_CHARACTERS).label("text")]
    if table is messages:
        return [*shared, table.c.role]
    return [*shared, table.c.kind, table.c.importance, table.c.tags]


def as_source(table: Table, row: Any, *, late: bool = False) -> Source:
    """Return a row of messages or memories as a source."""
    if table is messages:
        role = cast("Literal['user', 'assistant', 'system']", row.role)
        return Source("message", row.id, row.text, row.at, role=role, late=late)
    tags = tuple(str(tag) for tag in row.tags if isinstance(tag, str)) if isinstance(row.tags, list) else ()
    return Source("memory", row.id, row.text, row.at, importance=row.importance, tags=tags, kind=row.kind, late=late)


def kept(table: Table) -> list[ColumnElement[bool]]:
    """Return the conditions on what may be read: a memory that was merged into another says nothing new."""
    return [table.c.id.not_in(select(memory_retirements.c.memory_id))] if table is memories else []


def by_ids(connection: Connection, user_ids: Iterable[str], ids: Mapping[str, Iterable[str]]) -> dict[str, Source]:
    """Return messages and memories of these people by "source:id"; what is gone is left out. ids: source → ids."""
    theirs = sorted(set(user_ids))
    found: dict[str, Source] = {}
    for table, kind in ((messages, "message"), (memories, "memory")):
        for part in chunked(sorted(set(ids.get(kind, ())))):
            rows = connection.execute(
                select(*columns_of(table)).where(table.c.id.in_(part), table.c.user_id.in_(theirs))
            )
            found.update({f"{kind}:{row.id}": as_source(table, row) for row in rows})
    return found


def earlier_of(connection: Connection, claims: Sequence[Claim]) -> dict[int, list[str]]:
    """Return for each claim the newest reflections of its kind with an earlier date, newest first."""
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
                .over(partition_by=reflections.c.user_id, order_by=reflections.c.on.desc())
                .label("place"),
            )
            .where(
                reflections.c.kind == kind,
                reflections.c.on < on,
                reflections.c.user_id.in_(list(whose)),
                reflections.c.head,
            )
            .subquery()
        )
        for row in connection.execute(
            select(newest).where(newest.c.place <= EARLIER).order_by(newest.c.user_id, newest.c.place)
        ):
            found.setdefault(whose[row.user_id], []).append(row.text)
    return found
