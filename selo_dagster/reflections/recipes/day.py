"""The day that ended: what was said, what is remembered of it, and what came late for an earlier one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from sqlalchemy import Connection, exists, select

from selo_dagster.memory.tables import memories, messages
from selo_dagster.people.local_days import Window, Zones, window
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Material, Source, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.recipes.sources import (
    MEMORIES_A_DAY,
    MESSAGES_A_DAY,
    as_source,
    columns_of,
    earlier_of,
    kept,
    sources_of,
)
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import SKIPPED, Reason
from selo_dagster.reflections.tables import reflection_days, reflection_sources, reflections

LATE_DAYS: Final = 31


def day(given: Gathering) -> dict[int, Material | Nothing]:
    """Read each claim's local day."""
    windows: dict[int, Window] = {}
    found: dict[int, Material | Nothing] = {}
    for one in given.claims:
        lived = window(given.zones[one.user_id], one.on)
        if lived is None:
            found[one.id] = Nothing(SKIPPED, Reason.NOT_LIVED)
        else:
            windows[one.id] = lived
    wanted = [one for one in given.claims if one.id in windows]
    days = sources_of(given.connection, wanted, windows)
    late = _late_sources(given.connection, wanted, given.zones)
    earlier = earlier_of(given.connection, wanted)
    for one in wanted:
        sources, more = days[one.id]
        late_sources, late_days = late.get(one.id, ([], ()))
        everything = [*sources, *late_sources]
        if not any(source.theirs for source in everything):
            found[one.id] = Nothing(SKIPPED, Reason.NOTHING_NEW)
            continue
        found[one.id] = Material(
            window=windows[one.id],
            covers=date_in_words(one.on),
            sources=everything,
            more=more,
            earlier=tuple(earlier.get(one.id, ())),
            late_days=late_days,
        )
    return found


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
            # What only a version has read that does not hold is in nothing that anybody reads.
            read = exists().where(
                reflection_sources.c.source == kind,
                reflection_sources.c.source_id == table.c.id,
                reflections.c.id == reflection_sources.c.reflection_id,
                reflections.c.head,
            )
            rows = connection.execute(
                select(*columns_of(table))
                .where(table.c.user_id == user_id, table.c.at >= span.start, table.c.at < span.end, ~read, *kept(table))
                .order_by(table.c.at.desc(), table.c.id)
                .limit(limit)
            )
            found += [as_source(table, row, late=True) for row in rows]
    return found
