"""What follows a night's daily: the line to live by, and the questions to ask."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any, Final

from sqlalchemy import func, select

from selo_dagster.memory.tables import memories
from selo_dagster.people.history import chunked
from selo_dagster.people.local_days import Window, window
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Material, Source, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.questions import queue
from selo_dagster.reflections.recipes.former import heads_of, source_of
from selo_dagster.reflections.recipes.sources import as_source, columns_of, kept
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import SKIPPED, UNCHANGED, Reason
from selo_dagster.reflections.tables import mantras

FORMER_MANTRAS: Final = 30
MEMORIES_ASKED_ABOUT: Final = 40


def mantra(given: Gathering) -> dict[int, Material | Nothing]:
    """Read that night's daily, and the former lines, which are not to be repeated."""
    dailies = _dailies(given)
    former = _former_mantras(given)
    found: dict[int, Material | Nothing] = {}
    for one in given.claims:
        daily = dailies.get(one.id)
        lived = window(given.zones[one.user_id], one.on)
        if daily is None or lived is None:
            found[one.id] = Nothing(SKIPPED, Reason.SOURCE_GONE)
            continue
        found[one.id] = Material(
            window=lived,
            covers=date_in_words(one.on),
            always=[daily],
            earlier=tuple(former.get(one.user_id, ())),
        )
    return found


def questions(given: Gathering) -> dict[int, Material | Nothing]:
    """Read that night's daily and the weightiest memories; what is queued, asked or answered is not to be repeated."""
    user_ids = sorted({one.user_id for one in given.claims})
    room = queue.room(given.connection, user_ids, max(one.since for one in given.claims))
    known = queue.known(given.connection, user_ids, max(one.since for one in given.claims))
    dailies = _dailies(given)
    told = _memories(given)
    found: dict[int, Material | Nothing] = {}
    for one in given.claims:
        lived: Window | None = window(given.zones[one.user_id], one.on)
        daily = dailies.get(one.id)
        if lived is None or daily is None:
            found[one.id] = Nothing(SKIPPED, Reason.SOURCE_GONE)
        elif room[one.user_id] < 1:
            found[one.id] = Nothing(UNCHANGED, Reason.QUEUE_FULL)
        else:
            found[one.id] = Material(
                window=lived,
                covers=date_in_words(one.on),
                sources=told[one.id],
                always=[daily],
                earlier=tuple(known.get(one.user_id, ())),
                with_dates=True,
                room=room[one.user_id],
            )
    return found


def _dailies(given: Gathering) -> dict[int, Source]:
    found: dict[int, Source] = {}
    for on, group in _by_on(given).items():
        whose = {one.user_id: one.id for one in group}
        rows = heads_of(given.connection, "daily", list(whose), on, on)
        found.update({whose[row.user_id]: source_of(row) for row in rows})
    return found


def _by_on(given: Gathering) -> dict[date, list[Claim]]:
    by_on: dict[date, list[Claim]] = defaultdict(list)
    for one in given.claims:
        by_on[one.on].append(one)
    return by_on


def _former_mantras(given: Gathering) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    newest = func.row_number().over(
        partition_by=mantras.c.user_id, order_by=[mantras.c.on.desc(), mantras.c.version.desc()]
    )
    for part in chunked(sorted({one.user_id for one in given.claims})):
        ranked = (
            select(mantras.c.user_id, mantras.c.text, newest.label("place"))
            .where(mantras.c.user_id.in_(part))
            .subquery()
        )
        for row in given.connection.execute(
            select(ranked).where(ranked.c.place <= FORMER_MANTRAS).order_by(ranked.c.user_id, ranked.c.place)
        ):
            found[row.user_id].append(row.text)
    return found


def _memories(given: Gathering) -> dict[int, list[Source]]:
    found: dict[int, list[Source]] = {one.id: [] for one in given.claims}
    for on, group in _by_on(given).items():
        whose = {one.user_id: one for one in group}
        ends: dict[Any, list[str]] = defaultdict(list)
        for one in group:
            lived = window(given.zones[one.user_id], on)
            if lived is not None:
                ends[lived.end].append(one.user_id)
        for end, some in ends.items():
            ranked = (
                select(
                    *columns_of(memories),
                    func.row_number()
                    .over(
                        partition_by=memories.c.user_id,
                        order_by=[memories.c.importance.desc(), memories.c.at.desc(), memories.c.id],
                    )
                    .label("place"),
                )
                .where(memories.c.user_id.in_(some), memories.c.at < end, *kept(memories))
                .subquery()
            )
            for row in given.connection.execute(select(ranked).where(ranked.c.place <= MEMORIES_ASKED_ABOUT)):
                found[whose[row.user_id].id].append(as_source(memories, row))
    return found
