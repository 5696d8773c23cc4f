"""What caused a reflection, always, and what lies around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.clock import BEGINNING, UTC
from selo_dagster.memory.tables import events, memories, messages
from selo_dagster.people.history import chunked
from selo_dagster.people.local_days import Window
from selo_dagster.people.zones import local_label
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Material, Source, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.recipes.former import earlier_texts
from selo_dagster.reflections.recipes.sources import EARLIER, SOURCE_CHARACTERS, as_source, by_ids, columns_of, kept
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
    named = {one.id: _named(one) for one in given.claims}
    user_ids = [one.user_id for one in given.claims]
    ids: dict[str, set[str]] = defaultdict(set)
    for names in named.values():
        for origin, ref in names:
            ids[origin].add(ref)
    there = by_ids(given.connection, user_ids, ids) | _events(given.connection, user_ids, ids["event"])
    owners = _owners(given, ids)
    found: dict[int, Material | Nothing] = {}
    for one in given.claims:
        caused = [
            there[f"{origin}:{ref}"]
            for origin, ref in named[one.id]
            if f"{origin}:{ref}" in there and owners.get((origin, ref)) == one.user_id
        ]
        found[one.id] = _material(given, one, caused)
    return found


def _named(one: Claim) -> list[tuple[str, str]]:
    """Return (origin, id) of everything that caused a claim: memories of a request, causes of a trigger."""
    said = one.cause or {}
    memories_named = [("memory", str(memory)) for memory in said.get("memories") or []]
    # As the trigger wrote them: [number, microseconds, type, origin, id, weight, …].
    causes = [(str(row[3]), str(row[4])) for row in said.get("causes") or []]
    return list(dict.fromkeys([*memories_named, *causes]))


def _owners(given: Gathering, ids: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for origin, table, key in (("memory", memories, "id"), ("message", messages, "id"), ("event", events, "ref")):
        for part in chunked(sorted(ids.get(origin, ()))):
            chosen = [table.c[key].in_(part), *([events.c.origin == "event"] if table is events else [])]
            rows = given.connection.execute(select(table.c[key].label("ref"), table.c.user_id).where(*chosen))
            found.update({(origin, row.ref): row.user_id for row in rows})
    return found


def _events(connection: Connection, user_ids: Sequence[str], refs: Iterable[str]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for part in chunked(sorted(refs)):
        rows = connection.execute(
            select(events.c.ref, events.c.type, events.c.at, events.c.payload).where(
                events.c.origin == "event", events.c.ref.in_(part), events.c.user_id.in_(sorted(set(user_ids)))
            )
        )
        for row in rows:
            text = _in_words(row.payload)[:SOURCE_CHARACTERS] or row.type.replace("_", " ")
            found[f"event:{row.ref}"] = Source("event", row.ref, text, row.at, kind=row.type)
    return found


def _material(given: Gathering, one: Claim, caused: list[Source]) -> Material | Nothing:
    context = (one.cause or {}).get("context")
    told = [Source("context", one.key, _in_words(context), one.since)] if context else []
    if caused:
        start = _moved(min(source.at for source in caused), -AROUND)
        end = _moved(max(source.at for source in caused), AROUND)
    else:
        start, end = one.since - BEFORE, one.since
    end = _moved(min(end, max([one.since, *(source.at for source in caused)])), _BIT)
    around = _around(given, one, start, end)
    if not caused and not told and not any(source.theirs for source in around):
        return Nothing(SKIPPED, Reason.SOURCE_GONE if _named(one) else Reason.NOTHING_NEW)
    zone = _zone(given, one)
    return Material(
        window=Window(one.on, start, end, zone),
        covers=f"{date_in_words(one.on)}, {local_label(zone, one.since)}",
        sources=around,
        always=[*told, *caused],
        earlier=earlier_texts(given.connection, one.user_id, one.since, EARLIER),
        with_dates=True,
    )


def _moved(at: datetime, span: timedelta) -> datetime:
    """Return an instant moved by a span, within what a calendar holds: another writer may date to the end of time."""
    try:
        return at + span
    except OverflowError:
        return BEGINNING if span < timedelta(0) else datetime.max.replace(tzinfo=UTC)


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
