"""What caused a reflection, always, and what lies around it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from selo_dagster.memory.tables import memories, messages
from selo_dagster.people.local_days import Window
from selo_dagster.people.zones import local_label
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Material, Source, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.recipes.former import earlier_texts
from selo_dagster.reflections.recipes.sources import EARLIER, as_source, by_ids, columns_of, kept
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import SKIPPED, Reason

AROUND: Final = timedelta(hours=2)
"""How far around a cause its neighbourhood reaches."""

BEFORE: Final = timedelta(hours=24)
"""How far back a request without memories looks."""

NEIGHBOURS: Final = 60
_BIT: Final = timedelta(microseconds=1)


def cause(given: Gathering) -> dict[int, Material | Nothing]:
    """Read for each claim what caused it and its neighbourhood, nothing of it later than its instant."""
    ids = {one.id: _memory_ids(one) for one in given.claims}
    there = by_ids(
        given.connection,
        [one.user_id for one in given.claims],
        {"memory": {memory for some in ids.values() for memory in some}},
    )
    owners = _owners(given, [name.split(":", 1)[1] for name in there])
    found: dict[int, Material | Nothing] = {}
    for one in given.claims:
        caused = [
            there[f"memory:{memory}"]
            for memory in ids[one.id]
            if f"memory:{memory}" in there and owners.get(memory) == one.user_id
        ]
        found[one.id] = _material(given, one, caused)
    return found


def _memory_ids(one: Claim) -> list[str]:
    named = (one.cause or {}).get("memories") or []
    return [str(memory) for memory in named]


def _owners(given: Gathering, memory_ids: list[str]) -> dict[str, str]:
    rows = given.connection.execute(select(memories.c.id, memories.c.user_id).where(memories.c.id.in_(memory_ids)))
    return {row.id: row.user_id for row in rows}


def _material(given: Gathering, one: Claim, caused: list[Source]) -> Material | Nothing:
    context = (one.cause or {}).get("context")
    told = [Source("context", one.key, _in_words(context), one.since)] if context else []
    if caused:
        start, end = min(source.at for source in caused) - AROUND, max(source.at for source in caused) + AROUND
    else:
        start, end = one.since - BEFORE, one.since
    end = min(end, max([one.since, *(source.at for source in caused)])) + _BIT
    around = _around(given, one, start, end)
    if not caused and not told and not any(source.theirs for source in around):
        return Nothing(SKIPPED, Reason.SOURCE_GONE if _memory_ids(one) else Reason.NOTHING_NEW)
    zone = _zone(given, one)
    return Material(
        window=Window(one.on, start, end, zone),
        covers=f"{date_in_words(one.on)}, {local_label(zone, one.since)}",
        sources=around,
        always=[*told, *caused],
        earlier=earlier_texts(given.connection, one.user_id, one.since, EARLIER),
        with_dates=True,
    )


def _zone(given: Gathering, one: Claim) -> str:
    spans = given.zones[one.user_id]
    return next((span.zone for span in reversed(spans) if span.since <= one.since), spans[0].zone)


def _around(given: Gathering, one: Claim, start: datetime, end: datetime) -> list[Source]:
    found: list[Source] = []
    for table in (messages, memories):
        rows = given.connection.execute(
            select(*columns_of(table))
            .where(table.c.user_id == one.user_id, table.c.at >= start, table.c.at < end, *kept(table))
            .order_by(table.c.at.desc(), table.c.id)
            .limit(NEIGHBOURS)
        )
        found += [as_source(table, row) for row in rows]
    return found


def _in_words(context: Any) -> str:
    """Return what was given with a request as one text: names and values, as they were given."""
    if isinstance(context, dict):
        return "; ".join(f"{name}: {_in_words(value)}" for name, value in context.items())
    if isinstance(context, list):
        return ", ".join(_in_words(value) for value in context)
    return str(context)
