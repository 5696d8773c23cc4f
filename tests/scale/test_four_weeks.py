"""Four weeks in which clocks change, lived by people in forty zones, some of whom move."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta

import pytest

from selo_dagster.store.engine import Store
from tests.support.weeks import Weeks

FULL = os.environ.get("SELO_TEST_SCALE") == "full"


@pytest.mark.scale
@pytest.mark.timeout(900)
def test_everybody_gets_one_daily_per_lived_date_and_its_mantra_after_it(store: Store) -> None:
    """R7: every date that a person lived and spoke on has exactly one daily, wherever they were."""
    weeks = Weeks(store, people=200 if FULL else 12, step=timedelta(hours=1 if FULL else 24), days=28 if FULL else 15)
    weeks.live()
    spoken = {(user, on) for user, dates in weeks.spoken().items() for on in dates}
    dailies = Counter((row.user_id, row.on) for row in weeks.made("daily"))
    assert set(dailies.values()) == {1}
    assert set(dailies) == spoken
    when = {(row.user_id, row.on): row.created_at for row in weeks.made("daily")}
    lines = Counter((row.user_id, row.on) for row in weeks.made("mantra"))
    assert set(lines.values()) == {1}
    assert set(lines) <= spoken
    assert all(row.created_at >= when[row.user_id, row.on] for row in weeks.made("mantra"))
    # Only whoever crossed the date line within a night may have had a later date due before the mantra's hour.
    last = (weeks.clock.now() - timedelta(days=1)).date()
    stayed = {key for key in spoken if int(key[0][1:]) % 5 and key[1] < last}
    assert stayed <= set(lines)
    weekly = Counter((row.user_id, row.on) for row in weeks.made("weekly"))
    assert set(weekly.values()) == {1}
    assert {on.weekday() for _, on in weekly} == {5}
    print(weeks.table("p000"))  # noqa: T201 - the table of what was due when: pytest -s


@pytest.mark.scale
@pytest.mark.timeout(300)
def test_a_second_look_at_the_same_moment_asks_no_model(store: Store) -> None:
    """R10: without anything new, nothing is called, for any kind."""
    weeks = Weeks(store, people=40 if FULL else 8, step=timedelta(hours=24), days=9)
    weeks.live()
    assert weeks.calls["daily"] > 2 * weeks.people
    assert weeks.look() == Counter()
