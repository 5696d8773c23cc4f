"""Alerts are opened once, told once, repeated quietly, and taken back when it has been over for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from selo_dagster.operations.alerts.keeping import OVER_AFTER_S, Kept, keep
from selo_dagster.operations.alerts.tables import alert_notices, alerts
from selo_dagster.operations.problems import Problem
from selo_dagster.store.alert_signals import Signal, alert_signals, signal
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now

DEAD = Problem("dead", "daily: 3 obligations are dead", "daily")
FULL = Problem("disk_filling", "the disk is nearly full")


def kept(store: Store, *problems: Problem, blind: tuple[str, ...] = ()) -> Kept:
    with store.write() as connection:
        return keep(connection, problems, blind=blind)


def signalled(store: Store, *signals: Signal) -> None:
    with store.write() as connection:
        signal(connection, signals)


def notices(store: Store) -> list[tuple[str, str]]:
    with store.read() as connection:
        rows = connection.execute(
            select(alerts.c.code, alert_notices.c.what)
            .join(alerts, alerts.c.id == alert_notices.c.alert_id)
            .order_by(alert_notices.c.id)
        )
        return [(row.code, row.what) for row in rows]


def rows(store: Store) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(select(alerts).order_by(alerts.c.id)))


def ago(store: Store, table: Any, column: str, delta: timedelta) -> None:
    """Let something have happened so long ago, by the database's clock."""
    with store.write() as connection:
        connection.execute(
            update(table).where(table.c[column].is_not(None)).values({column: database_now(-delta.total_seconds())})
        )


def test_what_stays_so_is_one_alert_and_one_notice(store: Store) -> None:
    assert kept(store, DEAD, FULL) == Kept(opened=2)
    assert kept(store, DEAD, FULL) == Kept()
    assert notices(store) == [("dead", "opened"), ("disk_filling", "opened")]


def test_the_same_code_of_two_subjects_is_two_alerts(store: Store) -> None:
    assert kept(store, DEAD, Problem("dead", "weekly: 1 obligations are dead", "weekly")).opened == 2


def test_a_thousand_signals_are_one_alert_that_counts_them(store: Store) -> None:
    signalled(store, *[Signal("dead", "daily", {"row": row}) for row in range(1_100)])
    assert kept(store, DEAD) == Kept(opened=1)
    signalled(store, Signal("dead", "daily", {"row": 1_101}))
    assert kept(store, DEAD) == Kept()
    assert [(row.code, row.times, row.message) for row in rows(store)] == [("dead", 1_101, DEAD.message)]
    with store.read() as connection:
        assert connection.execute(select(alert_signals)).all() == []


def test_a_signal_whose_problem_has_gone_again_is_told_all_the_same(store: Store) -> None:
    signalled(store, Signal("dead", "daily", {"row": 1}))
    assert kept(store).opened == 1
    assert notices(store) == [("dead", "opened")]


def test_what_comes_and_goes_is_told_once(store: Store) -> None:
    kept(store, FULL)
    for _ in range(3):
        assert kept(store) == Kept()
        assert kept(store, FULL) == Kept()
    assert notices(store) == [("disk_filling", "opened")]


def test_what_has_been_over_for_a_while_is_taken_back_and_opens_anew_afterwards(store: Store) -> None:
    kept(store, FULL)
    kept(store)
    ago(store, alerts, "cleared_at", timedelta(seconds=OVER_AFTER_S - 30))
    assert kept(store) == Kept()
    ago(store, alerts, "cleared_at", timedelta(seconds=OVER_AFTER_S + 1))
    assert kept(store) == Kept(resolved=1)
    assert kept(store) == Kept()
    assert kept(store, FULL) == Kept(opened=1)
    assert notices(store) == [("disk_filling", what) for what in ("opened", "resolved", "opened")]


def test_what_stands_is_told_again_after_six_hours_then_twelve_then_every_day(store: Store) -> None:
    kept(store, FULL)
    for hours in (6, 12, 24, 24):
        ago(store, alert_notices, "created_at", timedelta(hours=hours, minutes=-5))
        assert kept(store, FULL) == Kept()
        ago(store, alert_notices, "created_at", timedelta(hours=hours, minutes=5))
        assert kept(store, FULL) == Kept(repeated=1)
    assert [what for _, what in notices(store)] == ["opened", *["still"] * 4]


def test_an_alert_that_somebody_else_watches_is_left_to_them(store: Store) -> None:
    kept(store, Problem("not_ready", "model: its server does not answer", "model"))
    kept(store, blind=("not_ready",))
    assert [row.cleared_at for row in rows(store)] == [None]
    kept(store)
    assert [row.cleared_at is None for row in rows(store)] == [False]
