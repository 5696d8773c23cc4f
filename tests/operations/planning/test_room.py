"""A night under budgets: what has no room waits for midnight in UTC, or is made more cheaply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from selo_dagster.clock import parse_instant
from selo_dagster.llm.budgets.caps import Amount, Budget, Cap
from selo_dagster.llm.budgets.money import Price
from selo_dagster.operations.planning.measured import Measured
from selo_dagster.operations.planning.room import Means
from selo_dagster.operations.planning.shed import slots_that_do, would_shed
from selo_dagster.operations.planning.simulate import Simulated, simulate
from selo_dagster.operations.planning.ways import Ways
from selo_dagster.operations.planning.work import Batch
from selo_dagster.reflections.kinds import KINDS

NOON = parse_instant("2026-11-23T12:00:00Z")
MIDNIGHT = parse_instant("2026-11-24T00:00:00Z")
UNTIL = NOON + timedelta(hours=24)
SUNDAY = date(2026, 11, 22)
WAYS = Ways(slots=4, start_s=0.0)
COSTS = {name: Measured(2.0, row_s=0.0, number=1, calls=1, input_tokens=900, output_tokens=100) for name in KINDS}
"""A thousand tokens each."""


def batch(kind: str, number: int) -> Batch:
    return Batch(kind, SUNDAY, NOON, NOON, number)


def played(*batches: Batch, means: Means | None, costs: dict[str, Measured] = COSTS) -> Simulated:
    return simulate(batches, costs, WAYS, NOON, UNTIL, means)


def capped(**caps: Cap | str | int | Price) -> Means:
    return Means(Budget(max_tokens=100, **caps))  # type: ignore[arg-type]


def since_midnight(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - MIDNIGHT).total_seconds()


def test_without_a_budget_nothing_waits() -> None:
    done = played(batch("daily", 400), means=None)
    assert done.courses["daily"].put_off == 0
    assert done.ends_at == NOON + timedelta(seconds=200)


def test_what_has_no_room_waits_for_midnight_in_utc() -> None:
    done = played(batch("daily", 400), means=capped(kind=Cap(tokens=300_100)))
    daily = done.courses["daily"]
    assert daily.put_off == pytest.approx(100)
    assert since_midnight(daily.done_at) == pytest.approx(50)
    # Due at noon, with a target of six hours.
    assert daily.late == pytest.approx(100)
    assert not done.fits


def test_a_cap_is_that_of_each_kind_and_the_fleets_is_of_all_together() -> None:
    night = (batch("daily", 300), batch("weekly", 300))
    each = played(*night, means=capped(kind=Cap(tokens=300_100)))
    assert {name: one.put_off for name, one in each.courses.items() if one.put_off} == {}
    together = played(*night, means=capped(fleet=Cap(tokens=300_100)))
    assert sum(one.put_off for one in together.courses.values()) == pytest.approx(300)


def test_what_is_spent_today_is_gone() -> None:
    means = Means(capped(kind=Cap(tokens=300_100)).budget, {("kind", "daily"): Amount(tokens=250_000)})
    done = played(batch("daily", 100), means=means)
    assert done.courses["daily"].put_off == pytest.approx(50)
    assert since_midnight(done.ends_at) == pytest.approx(25)


def test_a_cap_that_takes_several_days_is_played_to_its_end() -> None:
    done = played(batch("daily", 400), means=capped(kind=Cap(tokens=100_100)))
    assert done.courses["daily"].put_off == pytest.approx(300)
    assert since_midnight(done.ends_at) == pytest.approx(2 * 86_400 + 50)


def test_what_will_never_have_room_is_never_done() -> None:
    done = played(batch("daily", 4), means=capped(kind=Cap(tokens=100)))
    assert (done.ends_at, done.courses["daily"].late, done.fits) == (None, 4.0, False)


def test_money_counts_by_what_is_read_and_what_is_written() -> None:
    # 900 read and 100 written cost 0.9 + 0.4 thousandths: 1.3 million billionths each, an answer 0.4.
    price = Price(input=1_000_000, output=4_000_000)
    done = played(batch("daily", 400), means=capped(kind=Cap(cost=130_000_000 + 400_000), deep=price))
    assert done.courses["daily"].put_off == pytest.approx(300)


def test_a_share_is_kept_for_what_somebody_just_asked_for() -> None:
    means = capped(fleet=Cap(tokens=400_100), interactive_percent=50)
    done = played(batch("daily", 400), batch("triggered", 100), means=means)
    assert done.courses["triggered"].put_off == 0
    assert done.courses["daily"].put_off == pytest.approx(300, abs=1)


def test_a_lighter_model_takes_over_where_the_policy_says_so() -> None:
    deep, light = Price(output=10_000_000), Price(output=1_000_000)
    # A hundred by the usual model leave an answer's cost and no more, which is worth nine by the lighter one.
    cap = Cap(cost=101 * 1_000_000)
    done = played(batch("daily", 200), means=capped(kind=cap, deep=deep, light=light, policy="light"))
    assert done.courses["daily"].put_off == pytest.approx(200 - 100 - 9)


def test_the_rules_take_over_without_a_call_where_the_policy_says_so() -> None:
    done = played(batch("daily", 400), means=capped(kind=Cap(tokens=200_100), policy="extractive"))
    assert done.courses["daily"].put_off == 0
    assert done.ends_at is not None
    # Two hundred by calls of two seconds, two hundred of 0.02 s.
    assert (done.ends_at - NOON).total_seconds() == pytest.approx(100 + 1)


@pytest.mark.parametrize(("kind", "policy"), [("mantra", "defer"), ("daily", "light")])
@pytest.mark.timeout(20)
def test_a_model_that_costs_nothing_needs_no_money_while_others_spend_what_is_kept_for_them(
    kind: str, policy: str
) -> None:
    deep, light = Price(input=1_000_000, output=4_000_000), Price()
    means = capped(fleet=Cap(cost=200_000_000), deep=deep, light=light, policy=policy, interactive_percent=50)
    done = played(batch(kind, 400), batch("triggered", 100), means=means)
    # A moment's answers take 130 of the 200, and what is nightly may go on while no more than 100 are spent.
    assert done.courses["triggered"].put_off == 0
    assert done.courses[kind].put_off > 0
    assert done.ends_at is not None


def test_what_asks_no_model_or_was_never_measured_has_room() -> None:
    unmeasured = COSTS | {"mantra": Measured(2.0, row_s=0.0)}
    night = (batch("persona_reassessment", 100), batch("mantra", 100))
    done = played(*night, means=capped(fleet=Cap(tokens=1_100)), costs=unmeasured)
    assert [done.courses[name].put_off for name in ("persona_reassessment", "mantra")] == [0, 0]


def test_no_number_of_slots_makes_room_in_a_budget() -> None:
    night, means = [batch("daily", 400)], capped(kind=Cap(tokens=300_100))

    def on_time(some: Sequence[Batch], slots: int = WAYS.slots) -> bool:
        return simulate(some, COSTS, replace(WAYS, slots=slots), NOON, UNTIL, means).fits

    assert slots_that_do(WAYS.slots, lambda slots: on_time(night, slots)) is None
    shed = would_shed(night, on_time)
    assert shed == {"daily": pytest.approx(100, abs=2)}
