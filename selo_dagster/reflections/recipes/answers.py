"""What people answered in the last thirty days: read and compared, without a model."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from selo_dagster.people.local_days import Window, span
from selo_dagster.reflections.audits.audit import audited
from selo_dagster.reflections.context import Material, date_in_words
from selo_dagster.reflections.kind import Gathering
from selo_dagster.reflections.settle import Nothing
from selo_dagster.reflections.states import SKIPPED, Reason


def answers(given: Gathering) -> dict[int, Material | Nothing]:
    """Audit each claim's answers as of the end of its date."""
    found: dict[int, Material | Nothing] = {}
    by_end: dict[datetime, list[tuple[int, str, Window]]] = defaultdict(list)
    covers = {}
    for one in given.claims:
        whole = span(given.zones[one.user_id], one.on, one.on)
        covers[one.id] = f"the answers of the thirty days up to {date_in_words(one.on)}"
        if whole is None:
            found[one.id] = Nothing(SKIPPED, Reason.NOT_LIVED)
        else:
            by_end[whole.end].append((one.id, one.user_id, whole))
    for end, group in by_end.items():
        reports = audited(given.connection, [user_id for _, user_id, _ in group], end)
        for row_id, user_id, whole in group:
            found[row_id] = Material(window=whole, covers=covers[row_id], report=reports.get(user_id))
    return found
