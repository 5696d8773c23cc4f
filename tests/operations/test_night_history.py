"""What became of the last nights, by date and kind, and what has waited longest."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from selo_dagster.clock import parse_instant
from selo_dagster.operations.night_history import Waiting, night_history, total
from selo_dagster.store.engine import Store
from tests.support.nights import NIGHTS, NOW, TONIGHT, enter, row

YESTERDAY = TONIGHT - timedelta(days=1)


def test_each_date_and_kind_has_its_numbers_by_outcome_and_reason(store: Store) -> None:
    enter(
        store,
        [
            row("ana", "daily", TONIGHT, "done"),
            row("ben", "daily", TONIGHT, "due"),
            row("cleo", "daily", TONIGHT, "claimed"),
            row("dan", "daily", TONIGHT, "skipped", "paused"),
            row("eve", "daily", TONIGHT, "skipped", "too_old"),
            row("fay", "daily", TONIGHT, "skipped", "paused"),
            row("ana", "mantra", TONIGHT, "done"),
            row("ben", "mantra", TONIGHT, "deferred", "waiting_for_daily"),
            row("ana", "daily", YESTERDAY, "dead", "TimeoutError"),
            row("ben", "daily", YESTERDAY, "rejected", "empty"),
            row("cleo", "daily", YESTERDAY, "failed", "TimeoutError"),
            row("dan", "daily", YESTERDAY, "unchanged", "nothing_new"),
        ],
    )
    with store.read() as connection:
        history = night_history(connection, NOW)
    assert history.dates == NIGHTS
    daily, mantra = history.of(TONIGHT)
    assert (daily.kind, daily.outcomes) == ("daily", Counter(done=1, open=2, skipped=3))
    assert daily.reasons == {"skipped": Counter(paused=2, too_old=1)}
    assert (mantra.kind, mantra.outcomes) == ("mantra", Counter(done=1, deferred=1))
    assert mantra.reasons == {"deferred": Counter(waiting_for_daily=1)}
    (before,) = history.of(YESTERDAY)
    assert before.outcomes == Counter(dead=1, rejected=1, failed=1, unchanged=1)
    assert before.reasons == {
        "dead": Counter(TimeoutError=1),
        "rejected": Counter(empty=1),
        "failed": Counter(TimeoutError=1),
    }
    assert total(history.of(TONIGHT)) == Counter(done=2, open=2, skipped=3, deferred=1)
    assert history.of(NIGHTS[0]) == []


def test_older_nights_are_left_out_and_the_day_that_still_runs_stands_apart(store: Store) -> None:
    enter(
        store,
        [
            row("ana", "daily", NIGHTS[0] - timedelta(days=1), "done"),
            row("ana", "daily", NIGHTS[0], "done"),
            row("ana", "daily", TONIGHT, "done"),
            row("ana", "triggered", TONIGHT + timedelta(days=1), "done", key="a-moment"),
        ],
    )
    with store.read() as connection:
        history = night_history(connection, NOW)
    assert history.dates == NIGHTS
    assert [(one.on, one.kind) for one in history.rows if one.on <= TONIGHT] == [
        (NIGHTS[0], "daily"),
        (TONIGHT, "daily"),
    ]
    assert [(one.on, one.kind) for one in history.later()] == [(TONIGHT + timedelta(days=1), "triggered")]


def test_a_night_begins_with_its_first_obligation_and_at_the_latest_when_the_date_has_ended_everywhere(
    store: Store,
) -> None:
    enter(store, [row("ana", "daily", TONIGHT - timedelta(days=3), "done")])
    late_in_the_evening = parse_instant("2026-11-27T11:59:59Z")
    with store.read() as connection:
        assert night_history(connection, late_in_the_evening).tonight == YESTERDAY
        assert night_history(connection, late_in_the_evening + timedelta(seconds=1)).tonight == TONIGHT
    # Kiritimati is fourteen hours ahead: its date has ended while it is ten in the morning in Greenwich.
    enter(store, [row("kiri", "daily", TONIGHT, "due", since=parse_instant("2026-11-26T10:00:00Z"))])
    with store.read() as connection:
        assert night_history(connection, parse_instant("2026-11-26T10:00:00Z")).tonight == TONIGHT
        history = night_history(connection, parse_instant("2026-11-26T09:59:59Z"))
    assert history.tonight == date(2026, 11, 24)


def test_what_moments_ask_for_begins_no_night(store: Store) -> None:
    enter(store, [row("ana", "triggered", TONIGHT, "done", key="a-moment")])
    with store.read() as connection:
        history = night_history(connection, NOW)
    assert history.tonight == YESTERDAY
    assert [one.kind for one in history.later()] == ["triggered"]


def test_of_each_kind_the_one_that_is_ready_and_has_waited_longest_is_named_without_a_person(store: Store) -> None:
    first = parse_instant("2026-11-26T03:00:00Z")
    enter(
        store,
        [
            row("ana", "daily", TONIGHT, "due"),
            row("ben", "daily", YESTERDAY, "due", since=first),
            row("cleo", "daily", YESTERDAY, "failed", "TimeoutError", since=first + timedelta(hours=1)),
            # Not yet ready, in somebody's hands, waiting for another, and over: none of them waits for a run.
            row("dan", "daily", NIGHTS[0], "failed", "TimeoutError", ready_at=NOW + timedelta(seconds=1)),
            row("eve", "daily", NIGHTS[0], "claimed"),
            row("fay", "mantra", NIGHTS[0], "deferred", "waiting_for_daily"),
            row("gus", "daily", NIGHTS[0], "done"),
            row("ana", "triggered", TONIGHT, "due", key="a-moment", since=NOW - timedelta(minutes=3)),
        ],
    )
    with store.read() as connection:
        history = night_history(connection, NOW)
    assert history.oldest == (
        Waiting("daily", YESTERDAY, first, "due", 3),
        Waiting("triggered", TONIGHT, NOW - timedelta(minutes=3), "due", 1),
    )


def test_without_any_obligation_every_night_is_empty(store: Store) -> None:
    with store.read() as connection:
        history = night_history(connection, NOW, nights=3)
    assert history.dates == NIGHTS[-4:-1]
    assert (history.rows, history.oldest) == ((), ())
