"""The old rows of the budgets: days that bound nothing any more."""

from __future__ import annotations

from datetime import datetime

from selo_dagster.llm.budgets.caps import day_of
from selo_dagster.llm.budgets.tables import spending_days, spending_people
from selo_dagster.store.old_rows import OldRows


def old_spending(older_than: datetime) -> OldRows:
    """Return what the fleet and the kinds spent on days before that of `older_than`."""
    return OldRows(spending_days, (spending_days.c.day < day_of(older_than),))


def old_spending_of_people(older_than: datetime) -> OldRows:
    """Return what was spent on people on days before that of `older_than`."""
    return OldRows(spending_people, (spending_people.c.day < day_of(older_than),))
