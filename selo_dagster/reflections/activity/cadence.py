"""Each person's cadence in the database: fed by the event stream, read up to a place in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update

from selo_dagster.clock import BEGINNING, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import CONVERSATION, MEMORY_CREATED, MESSAGE_CREATED, USER_INTERACTION
from selo_dagster.memory.payloads import is_unit
from selo_dagster.memory.stream import StreamEvent
from selo_dagster.memory.tables import events, messages
from selo_dagster.people.history import chunked, zones_of
from selo_dagster.people.local_days import Zones, date_at, window
from selo_dagster.reflections.activity.level import DEFAULT_S, KEPT, USUAL, Level, adapted, kept, level_of
from selo_dagster.reflections.tables import reflection_cadences, reflections
from selo_dagster.reflections.tables import reflection_sources as sources
from selo_dagster.resources.guard import resource_factor
from selo_dagster.store.types import instant_text
from selo_dagster.store.upsert import insert_missing

cadences = reflection_cadences
READS: Final = frozenset({MESSAGE_CREATED, MEMORY_CREATED, USER_INTERACTION, CONVERSATION})
"""The events that move somebody's interval."""


@dataclass(frozen=True)
class Sign:
    """One sign of life. level: how lively; importance: of what was remembered; news: something to reflect on."""

    at: datetime
    level: float | None
    importance: float
    news: bool


def take_in(connection: Connection, found: Sequence[StreamEvent], zones: Mapping[str, Zones]) -> None:
    """Let what was just read from the stream move each person's interval, and remember what is unread.

    In the transaction that moves the reader's position, so nothing is counted twice and nothing is left out.
    """
    signs = _signs(connection, [event for event in found if event.user_id in zones])
    if not signs:
        return
    resource = resource_factor(connection)
    insert_missing(
        connection,
        cadences,
        [{"user_id": user, "levels": [], "interval_s": DEFAULT_S, "read_seq": 0} for user in sorted(signs)],
    )
    changed = []
    for part in chunked(sorted(signs)):
        rows = connection.execute(
            select(cadences).where(cadences.c.user_id.in_(part)).order_by(cadences.c.user_id).with_for_update()
        )
        changed += [_moved(row, signs[row.user_id], zones[row.user_id], resource) for row in rows]
    connection.execute(
        update(cadences)
        .where(cadences.c.user_id == bindparam("whose"))
        .values(
            levels=bindparam("new_levels"),
            interval_s=bindparam("new_interval"),
            unread_since=bindparam("new_unread"),
            due_at=bindparam("new_due"),
        ),
        changed,
    )


def _signs(connection: Connection, found: Sequence[StreamEvent]) -> dict[str, list[Sign]]:
    lengths = _lengths(connection, [one.ref for one in found if _is_word(one)])
    signs: dict[str, list[Sign]] = defaultdict(list)
    for event in found:
        sign = _sign_of(event, lengths)
        if sign is not None:
            signs[event.user_id].append(sign)
    return signs


def _is_word(event: StreamEvent) -> bool:
    return (event.origin, event.type) == ("message", MESSAGE_CREATED) and event.payload.get("role") == "user"


def _lengths(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in chunked(ids):
        rows = connection.execute(
            select(messages.c.id, func.length(messages.c.content).label("n")).where(messages.c.id.in_(part))
        )
        found.update({row.id: row.n for row in rows})
    return found


def _sign_of(event: StreamEvent, lengths: Mapping[str, int]) -> Sign | None:
    payload = event.payload
    if _is_word(event):
        return Sign(event.at, level_of(1, lengths.get(event.ref, 0)), USUAL, news=True)
    if (event.origin, event.type) == ("memory", MEMORY_CREATED):
        importance = payload.get("importance")
        return Sign(event.at, None, float(importance) if is_unit(importance) else USUAL, news=True)  # type: ignore[arg-type]
    if event.origin != "event":
        return None
    if event.type == USER_INTERACTION:
        level = payload.get("activity_level", USUAL)
        return Sign(event.at, float(level) if is_unit(level) else USUAL, USUAL, news=False)
    if event.type == CONVERSATION:
        count, content = payload.get("message_count"), payload.get("content")
        counted = count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0
        return Sign(event.at, level_of(counted, len(content) if isinstance(content, str) else 0), USUAL, news=False)
    return None


def _moved(row: Any, signs: list[Sign], zones: Zones, resource: float) -> dict[str, Any]:
    levels: list[Level] = [(parse_instant(when), level) for when, level in row.levels]
    interval = float(row.interval_s)
    for sign in sorted(signs, key=lambda one: one.at)[-KEPT:]:
        if sign.level is not None:
            levels = kept([*levels, (sign.at, sign.level)])
        interval = adapted(interval, levels, sign.at, sign.importance, resource)
    unread = min([one.at for one in signs if one.news] + ([row.unread_since] if row.unread_since else []), default=None)
    return {
        "whose": row.user_id,
        "new_levels": [[instant_text(when), level] for when, level in levels],
        "new_interval": interval,
        "new_unread": unread,
        "new_due": due_at(unread, interval, zones),
    }


def due_at(unread_since: datetime | None, interval_s: float, zones: Zones) -> datetime | None:
    """Return when what is unread is due: an interval after the oldest of it, and at the end of its date at last.

    So the interval moves the hour, and never skips a date.
    """
    if unread_since is None:
        return None
    try:
        after = unread_since + timedelta(seconds=interval_s)
    except OverflowError:
        # Dated to the end of time by another writer: it is never due.
        return None
    try:
        lived = window(zones, date_at(zones, unread_since))
    except SeloError:
        # Dated by another writer to a year without calendar rules: the interval alone decides.
        return after
    return after if lived is None else min(after, lived.end)


def is_news(user_id: Any, read_seq: Any) -> ColumnElement[bool]:
    """Return the condition on an event that it is something of this person's that nobody has reflected on.

    What lies before the end of the newest date with a daily was that daily's to read, or comes late in the next.
    """
    read_by_daily = (
        select(func.max(reflections.c.window_end))
        .where(reflections.c.user_id == user_id, reflections.c.kind == "daily")
        .scalar_subquery()
    )
    return and_(
        events.c.user_id == user_id,
        events.c.seq > read_seq,
        or_(
            and_(events.c.origin == "message", events.c.payload["role"].as_string() == "user"),
            and_(events.c.origin == "memory", events.c.type == MEMORY_CREATED),
        ),
        events.c.at >= func.coalesce(read_by_daily, BEGINNING),
    )


def move_read(connection: Connection, user_id: str, upto: int) -> None:
    """Say that everything of a person up to `upto` in the stream was read, in the caller's transaction.

    What came after it stays unread, also if it came while this was being read.
    """
    _set_read(connection, user_id, lambda read_seq: max(read_seq, upto))


def move_back(connection: Connection, user_id: str, first: int) -> None:
    """Say that everything of a person from `first` in the stream on is unread again, in the caller's transaction."""
    _set_read(connection, user_id, lambda read_seq: min(read_seq, first - 1))


def _set_read(connection: Connection, user_id: str, moved: Callable[[int], int]) -> None:
    # The lock first: whoever feeds the cadence meanwhile must be seen by the look at the stream below.
    row = connection.execute(select(cadences).where(cadences.c.user_id == user_id).with_for_update()).one_or_none()
    if row is None:
        return
    read_seq = moved(row.read_seq)
    unread = connection.execute(select(func.min(events.c.at).label("at")).where(is_news(user_id, read_seq))).scalar()
    zones = zones_of(connection, [user_id]).get(user_id, ())
    connection.execute(
        update(cadences)
        .where(cadences.c.user_id == user_id)
        .values(
            read_seq=read_seq,
            unread_since=unread,
            due_at=due_at(unread, row.interval_s, zones) if zones else None,
        )
    )


def first_read(connection: Connection, user_id: str, reflection_ids: Sequence[str]) -> int | None:
    """Return the number of the first event that these reflections have read and no daily has; None: there is none."""
    found = [
        first
        for part in chunked(reflection_ids)
        for first in connection.execute(
            select(func.min(events.c.seq))
            .join(sources, and_(sources.c.source == events.c.origin, sources.c.source_id == events.c.ref))
            .where(sources.c.reflection_id.in_(part), is_news(user_id, 0))
        ).scalars()
        if first is not None
    ]
    return min(found, default=None)
