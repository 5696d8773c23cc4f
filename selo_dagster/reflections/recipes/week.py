"""The seven local days up to a date: their dailies first, what these rest on, and the rest of what was said."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from selo_dagster.people.history import chunked
from selo_dagster.people.local_days import Window, span
from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.context import Material, Source, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.recipes.former import heads_of, source_of
from selo_dagster.reflections.recipes.sources import by_ids, earlier_of, sources_of
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import SKIPPED, Reason
from selo_dagster.reflections.tables import reflection_sources

DAYS: Final = 7


def week(given: Gathering) -> dict[int, Material | Nothing]:
    """Read each claim's week: dailies and what they cite are kept whatever the budget, the rest as there is room."""
    windows: dict[int, Window] = {}
    found: dict[int, Material | Nothing] = {}
    for one in given.claims:
        covered = span(given.zones[one.user_id], one.on - timedelta(days=DAYS - 1), one.on)
        if covered is None:
            found[one.id] = Nothing(SKIPPED, Reason.NOT_LIVED)
        else:
            windows[one.id] = covered
    wanted = [one for one in given.claims if one.id in windows]
    told = sources_of(given.connection, wanted, windows)
    dailies = _dailies(given, wanted)
    cited = _cited(given, wanted, dailies)
    earlier = earlier_of(given.connection, wanted)
    for one in wanted:
        sources, more = told[one.id]
        if not dailies[one.id] and not any(source.theirs for source in sources):
            found[one.id] = Nothing(SKIPPED, Reason.NOTHING_NEW)
            continue
        first = one.on - timedelta(days=DAYS - 1)
        found[one.id] = Material(
            window=windows[one.id],
            covers=f"the week from {date_in_words(first)} to {date_in_words(one.on)}",
            sources=sources,
            always=[*dailies[one.id], *cited[one.id]],
            more=more,
            earlier=tuple(earlier.get(one.id, ())),
            with_dates=True,
        )
    return found


def _dailies(given: Gathering, claims: list[Claim]) -> dict[int, list[Source]]:
    found: dict[int, list[Source]] = {one.id: [] for one in claims}
    by_on: dict[object, list[Claim]] = defaultdict(list)
    for one in claims:
        by_on[one.on].append(one)
    for group in by_on.values():
        on = group[0].on
        rows = heads_of(given.connection, "daily", [one.user_id for one in group], on - timedelta(days=DAYS - 1), on)
        whose = {one.user_id: one.id for one in group}
        for row in rows:
            found[whose[row.user_id]].append(source_of(row))
    return found


def _cited(given: Gathering, claims: list[Claim], dailies: dict[int, list[Source]]) -> dict[int, list[Source]]:
    owner = {daily.id: one for one in claims for daily in dailies[one.id]}
    ids: dict[str, set[str]] = defaultdict(set)
    named: dict[int, list[str]] = {one.id: [] for one in claims}
    for part in chunked(sorted(owner)):
        for row in given.connection.execute(
            select(reflection_sources)
            .where(reflection_sources.c.reflection_id.in_(part), reflection_sources.c.use == "cited")
            .order_by(reflection_sources.c.reflection_id, reflection_sources.c.source, reflection_sources.c.source_id)
        ):
            ids[row.source].add(row.source_id)
            named[owner[row.reflection_id].id].append(f"{row.source}:{row.source_id}")
    there = by_ids(given.connection, [one.user_id for one in claims], ids)
    return {row_id: [there[name] for name in dict.fromkeys(names) if name in there] for row_id, names in named.items()}
