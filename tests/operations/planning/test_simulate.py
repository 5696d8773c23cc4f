"""A night in numbers: order, places, parents, lateness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from selo_dagster.clock import parse_instant
from selo_dagster.operations.planning.measured import Measured
from selo_dagster.operations.planning.shed import GIVES_WAY, slots_that_do, without, would_shed
from selo_dagster.operations.planning.simulate import Simulated, simulate
from selo_dagster.operations.planning.ways import Ways
from selo_dagster.operations.planning.work import Batch
from selo_dagster.reflections.kinds import KINDS

NOW = parse_instant("2026-11-23T00:00:00Z")
UNTIL = NOW + timedelta(hours=24)
SUNDAY = date(2026, 11, 22)
COSTS = {name: Measured(2.0, row_s=0.0, number=1) for name in KINDS}
WAYS = Ways(slots=4, start_s=0.0)


def batch(
    kind: str, number: int, *, hour: float = 0, on: date = SUNDAY, zone: str | None = None, **more: bool
) -> Batch:
    at = NOW + timedelta(hours=hour)
    return Batch(kind, on, at, at, number, zone, **more)


def played(*batches: Batch, ways: Ways = WAYS) -> Simulated:
    return simulate(batches, COSTS, ways, NOW, UNTIL)


def on_time(some: Sequence[Batch], slots: int = WAYS.slots) -> bool:
    return played(*some, ways=replace(WAYS, slots=slots)).fits


def seconds(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - NOW).total_seconds()


def test_a_night_takes_what_the_server_takes() -> None:
    done = played(batch("daily", 400))
    assert seconds(done.ends_at) == pytest.approx(400 * 2 / 4)
    assert done.courses["daily"].lag_s == pytest.approx(200)
    assert done.fits


def test_fewer_people_than_slots_take_as_long_as_one() -> None:
    assert seconds(played(batch("daily", 3)).ends_at) == pytest.approx(2.0)


def test_a_run_that_has_yet_to_start_and_what_is_written_beside_the_calls_count() -> None:
    costs = {**COSTS, "daily": Measured(2.0, row_s=0.5, number=1)}
    done = simulate([batch("daily", 400)], costs, replace(WAYS, start_s=3.0), NOW, UNTIL)
    assert seconds(done.ends_at) == pytest.approx(3 + 400 * (2 / 4 + 0.5))


def test_a_second_run_is_asked_for_by_the_cohort_and_bounded_by_dagster() -> None:
    many = batch("daily", 2_000)
    assert seconds(played(many, ways=replace(WAYS, runs=8, runs_of_a_kind=1)).ends_at) == pytest.approx(1_000)
    assert seconds(played(many, ways=replace(WAYS, runs=8, runs_of_a_kind=2)).ends_at) == pytest.approx(500)
    # Of all kinds together, no more go on than Dagster lets.
    both = played(batch("daily", 1_000), batch("weekly", 1_000), ways=replace(WAYS, runs=3, runs_of_a_kind=2))
    assert seconds(both.courses["daily"].done_at) == pytest.approx(250)
    # Half of the weeklies by one run beside them, and then as many runs as a cohort needs.
    assert seconds(both.ends_at) == pytest.approx(250 + 250)
    assert seconds(played(batch("daily", 500), ways=replace(WAYS, runs=8, runs_of_a_kind=8)).ends_at) == pytest.approx(
        250
    )


def test_what_answers_a_moment_goes_first_and_the_newest_date_of_a_kind() -> None:
    old = batch("daily", 100, on=SUNDAY - timedelta(days=1))
    done = played(batch("daily", 100), old, batch("triggered", 100))
    assert seconds(done.courses["triggered"].done_at) == pytest.approx(50)
    assert seconds(done.courses["daily"].done_at) == pytest.approx(150)
    only_new = played(batch("daily", 100), batch("triggered", 100))
    assert seconds(only_new.courses["daily"].done_at) == pytest.approx(100)


def test_what_becomes_due_is_found_by_the_next_look() -> None:
    done = played(batch("daily", 4, hour=0.1), ways=WAYS)
    assert seconds(done.ends_at) == pytest.approx(900 + 2)


def test_a_mantra_waits_for_its_daily_and_for_a_look() -> None:
    done = played(batch("daily", 400), batch("mantra", 400, behind=True))
    # The dailies are done after 200 s, the look that lets the mantras go is at 900.
    assert seconds(done.courses["mantra"].done_at) == pytest.approx(900 + 200)


def test_a_mantra_of_another_zone_is_none_of_its_business() -> None:
    east, west = batch("daily", 40, zone="Asia/Tokyo"), batch("daily", 40, hour=10, zone="America/Lima")
    done = played(east, west, batch("mantra", 40, zone="Asia/Tokyo", behind=True))
    assert seconds(done.courses["mantra"].done_at) == pytest.approx(900 + 20)


def test_what_is_beyond_its_target_is_late_and_what_was_already_is_told_apart() -> None:
    # 6 hours hold 43 200 of them.
    done = played(batch("daily", 50_000))
    assert done.courses["daily"].late == pytest.approx(50_000 - 43_200, abs=1)
    assert not done.fits
    before = played(replace(batch("daily", 10), since=NOW - timedelta(days=2)))
    assert (before.courses["daily"].overdue, before.courses["daily"].late, before.fits) == (10, 0.0, True)


def test_the_weekly_gives_way_before_any_daily_is_late() -> None:
    some = [batch("daily", 30_000), batch("weekly", 20_000)]
    shed = would_shed(some, on_time)
    assert set(shed) == {"weekly"}
    assert played(*without(some, "weekly", shed["weekly"])).fits
    assert not played(*without(some, "weekly", shed["weekly"] - 200)).fits
    more = would_shed([batch("daily", 60_000), batch("weekly", 20_000)], on_time)
    assert more["weekly"] == 20_000
    assert 16_800 <= more["daily"] <= 17_200


def test_it_says_how_many_slots_would_do() -> None:
    wanted = slots_that_do(WAYS.slots, lambda slots: on_time([batch("daily", 80_000)], slots))
    assert wanted is not None
    assert played(batch("daily", 80_000), ways=replace(WAYS, slots=wanted)).fits
    assert not played(batch("daily", 80_000), ways=replace(WAYS, slots=wanted - 3)).fits
    assert slots_that_do(WAYS.slots, lambda slots: on_time([batch("daily", 90_000_000)], slots)) is None


def test_every_hour_says_what_came_due_and_what_was_done() -> None:
    done = played(batch("daily", 10_000), batch("daily", 40, hour=5.5, on=SUNDAY + timedelta(days=1)))
    assert done.hours[0].due == {"daily": 10_000}
    assert done.hours[0].done["daily"] == pytest.approx(7_200)
    assert done.hours[1].done["daily"] == pytest.approx(2_800)
    assert (done.hours[5].due, round(done.hours[5].done["daily"])) == ({"daily": 40}, 40)
    assert sum(hour.done.get("daily", 0) for hour in done.hours) == pytest.approx(10_040)


def test_nothing_to_do_fits_and_ends_at_once() -> None:
    done = played()
    assert (done.fits, done.ends_at) == (True, NOW)


def test_the_policy_names_every_kind() -> None:
    assert set(GIVES_WAY) == set(KINDS)
