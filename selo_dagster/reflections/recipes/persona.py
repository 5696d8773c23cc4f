"""A person's traits, and by how much each of them drifts home in a day: without a model."""

from __future__ import annotations

from selo_dagster.people.local_days import span
from selo_dagster.people.persona import drifts_of
from selo_dagster.reflections.context import Material, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import SKIPPED, Reason


def persona(given: Gathering) -> dict[int, Material | Nothing]:
    """Look at the traits of each claim's person."""
    found: dict[int, Material | Nothing] = {}
    drifting = drifts_of(given.connection, sorted({one.user_id for one in given.claims}))
    for one in given.claims:
        whole = span(given.zones[one.user_id], one.on, one.on)
        if whole is None:
            found[one.id] = Nothing(SKIPPED, Reason.NOT_LIVED)
        else:
            covers = f"the persona after {date_in_words(one.on)}"
            found[one.id] = Material(window=whole, covers=covers, report=drifting[one.user_id])
    return found
