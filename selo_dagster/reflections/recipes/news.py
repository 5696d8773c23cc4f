"""What is new since it was last read: in the order of the stream, as much as there is room for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, exists, select

from selo_dagster.memory.stream import position
from selo_dagster.memory.tables import events, messages
from selo_dagster.people.local_days import Window
from selo_dagster.reflections.activity.cadence import cadences, is_news
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Material, Source, date_in_words
from selo_dagster.reflections.days import READER
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.recipes.former import earlier_texts
from selo_dagster.reflections.recipes.sources import EARLIER, as_source, by_ids, columns_of
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import UNCHANGED, Reason
from selo_dagster.reflections.tables import reflection_sources, reflections

MOST: Final = 200
"""Events of one person that one reflection reads at most; the others stay unread for the next."""

REPLIES: Final = 60
_BIT: Final = timedelta(microseconds=1)


def news(given: Gathering) -> dict[int, Material | Nothing]:
    """Read each claim's unread words and memories, the oldest first, and where in the stream the reading ended."""
    upto = position(given.connection, READER)
    read = {
        row.user_id: row.read_seq
        for row in given.connection.execute(
            select(cadences.c.user_id, cadences.c.read_seq).where(
                cadences.c.user_id.in_(sorted({one.user_id for one in given.claims}))
            )
        )
    }
    return {one.id: _material(given, one, read.get(one.user_id, 0), upto) for one in given.claims}


def _material(given: Gathering, one: Claim, read_seq: int, upto: int) -> Material | Nothing:
    rows = given.connection.execute(
        select(events.c.seq, events.c.origin, events.c.ref, events.c.at)
        .where(is_news(one.user_id, read_seq), events.c.seq <= upto, ~_read_before(one))
        .order_by(events.c.seq)
        .limit(MOST + 1)
    ).all()
    if not rows:
        return Nothing(UNCHANGED, Reason.NOTHING_NEW, upto)
    ids = {origin: [row.ref for row in rows if row.origin == origin] for origin in ("message", "memory")}
    there = by_ids(given.connection, [one.user_id], ids)
    taken: list[Source] = []
    left = given.budget
    for row in rows[:MOST]:
        source = there.get(f"{row.origin}:{row.ref}")
        if source is None:
            continue
        if taken and len(source.text) > left:
            # What does not fit stays unread, with all that came after it.
            upto = row.seq - 1
            break
        taken.append(source)
        left -= len(source.text)
    else:
        if len(rows) > MOST:
            upto = rows[MOST].seq - 1
    if not taken:
        return Nothing(UNCHANGED, Reason.NOTHING_NEW, upto)
    start, end = min(source.at for source in taken), max(source.at for source in taken) + _BIT
    spans = given.zones[one.user_id]
    zone = next((span.zone for span in reversed(spans) if span.since <= end), spans[0].zone)
    return Material(
        window=Window(one.on, start, end, zone),
        covers=f"{date_in_words(one.on)}, what is new",
        sources=_replies(given, one, start, end),
        always=taken,
        earlier=earlier_texts(given.connection, one.user_id, end, EARLIER),
        with_dates=True,
        read_upto=upto,
    )


def _read_before(one: Claim) -> ColumnElement[bool]:
    """Return the condition on an event that a reflection of this kind has read it.

    Where one was deleted, what others have read since is counted as unread with what that one had read.
    """
    return exists().where(
        reflection_sources.c.source == events.c.origin,
        reflection_sources.c.source_id == events.c.ref,
        reflection_sources.c.use.in_(("cited", "read")),
        reflections.c.id == reflection_sources.c.reflection_id,
        reflections.c.user_id == one.user_id,
        reflections.c.kind == one.kind,
    )


def _replies(given: Gathering, one: Claim, start: datetime, end: datetime) -> list[Source]:
    rows = given.connection.execute(
        select(*columns_of(messages))
        .where(
            messages.c.user_id == one.user_id,
            messages.c.role == "assistant",
            messages.c.at >= start,
            messages.c.at < end,
        )
        .order_by(messages.c.at.desc(), messages.c.id)
        .limit(REPLIES)
    )
    return [as_source(messages, row) for row in rows]
