"""What is older than its retention goes; what keeps anything from being done twice, or undone, stays."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from selo_dagster.operations.housekeeping.groups import NAMES, groups
from selo_dagster.operations.housekeeping.kept import GOES_WITH, KEPT_FOR_EVER
from selo_dagster.operations.housekeeping.round import Budget, Round, keep_house
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.retention import old_obligations
from selo_dagster.reflections.retired import retired_obligations
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.settings import load_settings
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from tests.operations.housekeeping.old import (
    LONG_AGO,
    days_ago,
    enter,
    everything,
    fill,
    obligation,
    rows,
)
from tests.support.fakes import NOW, add_person, remember, run_cohort, say

SETTINGS = load_settings({})


def keep(store: Store, *only: str, dry_run: bool = False, budget: Budget | None = None) -> Round:
    return keep_house(store, NOW, SETTINGS, only=only, dry_run=dry_run, budget=budget)


def gone(found: Round) -> dict[str, int]:
    return {one.table: one.rows for one in found.done if one.rows}


def keys(store: Store, kind: str) -> list[str]:
    with store.read() as connection:
        return list(
            connection.execute(select(ledger.c.key).where(ledger.c.kind == kind).order_by(ledger.c.id)).scalars()
        )


class TestEveryTable:
    def test_it_has_a_retention_or_a_reason_to_stay_for_ever(self, store: Store) -> None:
        with store.read() as connection:
            found = groups(connection, NOW, SETTINGS)
        deleted = {part.table for one in found for part in one.parts}
        assert [one.name for one in found] == list(NAMES)
        assert set(GOES_WITH.values()) <= deleted
        named = [*sorted(deleted), *GOES_WITH, *KEPT_FOR_EVER]
        assert sorted(named) == sorted(metadata.tables)

    def test_what_is_kept_for_ever_is_the_same_afterwards(self, store: Store) -> None:
        fill(store)
        before = everything(store)
        keep(store)
        after = everything(store)
        changed = {name for name in before if before[name] != after[name]}
        assert changed.isdisjoint(KEPT_FOR_EVER.keys() - {"retired_obligations"})


class TestOneRound:
    def test_a_dry_run_changes_nothing_and_says_exactly_what_then_goes(self, store: Store) -> None:
        fill(store)
        before = everything(store)
        announced = gone(keep(store, dry_run=True))
        assert everything(store) == before
        counted = rows(store)
        assert gone(keep(store)) == announced
        emptied = {"saga_steps"}
        left = rows(store)
        assert {name: counted[name] - left.get(name, 0) for name in announced if name not in emptied} == {
            name: number for name, number in announced.items() if name not in emptied
        }
        assert announced == {
            "reflection_attempts": 5,
            "reflection_ledger": 2,
            "reflection_one_offs": 1,
            "saga_attempts": 2,
            "saga_alerts": 2,
            "saga_steps": 1,
            "alert_notices": 1,
            "alerts": 1,
            "job_runs": 2,
            "idempotency_keys": 1,
        }

    def test_a_second_round_finds_nothing(self, store: Store) -> None:
        fill(store)
        keep(store)
        assert gone(keep(store)) == {}

    def test_only_the_groups_named_are_touched(self, store: Store) -> None:
        fill(store)
        assert set(gone(keep(store, "alerts", "job_runs"))) == {"alerts", "alert_notices", "job_runs"}

    def test_it_stops_when_time_is_up_and_goes_on_in_the_next_round(self, store: Store) -> None:
        fill(store)
        seconds = iter(range(1_000))
        first = keep(store, budget=Budget(3.0, lambda: next(seconds), lambda _: None))
        assert not first.finished
        second = keep(store)
        assert second.finished
        both = {name: gone(first).get(name, 0) + gone(second).get(name, 0) for name in gone(second) | gone(first)}
        assert sum(both.values()) == 18

    def test_on_sqlite_it_lets_others_write_between_its_batches(self, store: Store) -> None:
        fill(store)
        seconds, rests = iter(range(1_000)), list[float]()
        keep(store, budget=Budget(900.0, lambda: next(seconds), rests.append))
        assert rests == ([0.2] * 10 if store.dialect == "sqlite" else [])


class TestObligations:
    def test_those_of_no_date_go_and_those_of_dates_stay(self, store: Store) -> None:
        add_person(store, "ana")
        for name, kind in KINDS.items():
            enter(store, obligation(name, f"{name}-1"), attempts=0)
            keep(store, "ledger")
            assert keys(store, name) == ([f"{name}-1"] if kind.cadence.dated else [])

    @pytest.mark.parametrize(
        "stays",
        [
            obligation("triggered", "t", at=days_ago(399)),
            obligation("triggered", "t", "due"),
            obligation("triggered", "t", "failed", ready_at=LONG_AGO),
            obligation("triggered", "t", "dead", settled_at=LONG_AGO),
            obligation("triggered", "t", "rejected", settled_at=LONG_AGO),
            obligation("triggered", "t", reported_by=None),
        ],
        ids=["young", "due", "failed", "dead", "rejected", "not shown in Dagster"],
    )
    def test_one_that_is_young_open_broken_or_not_shown_stays(self, store: Store, stays: dict[str, object]) -> None:
        add_person(store, "ana")
        enter(store, stays)
        assert gone(keep(store, "ledger")) == {}

    def test_attempts_of_what_is_settled_go_and_those_of_what_is_broken_stay(self, store: Store) -> None:
        add_person(store, "ana")
        _, dead = enter(store, obligation("daily", "d1"), obligation("daily", "d2", "dead"))
        assert gone(keep(store, "attempts")) == {"reflection_attempts": 1}
        with store.read() as connection:
            assert connection.execute(select(reflection_attempts.c.ledger_id)).scalars().all() == [dead]

    def test_what_goes_is_added_to_the_totals_so_that_no_counter_falls(self, store: Store) -> None:
        add_person(store, "ana")
        for round_ in range(2):
            enter(
                store,
                obligation("triggered", f"t{round_}"),
                obligation("triggered", f"s{round_}", "skipped", seconds=None),
            )
            keep(store, "ledger")
        with store.read() as connection:
            found = connection.execute(select(retired_obligations).order_by(retired_obligations.c.state)).all()
        assert [tuple(row) for row in found] == [
            ("triggered", "done", 2, 4, 60, 14, 3.0),
            ("triggered", "skipped", 2, 4, 60, 14, 0.0),
        ]

    def test_a_round_that_is_killed_in_a_batch_has_counted_nothing_that_is_still_there(self, store: Store) -> None:
        add_person(store, "ana")
        enter(store, *(obligation("triggered", f"t{number}") for number in range(7)))
        batches = old_obligations(days_ago(400)).batches(store, 3)
        assert next(batches) == 3
        batches.close()

        def totals() -> int:
            with store.read() as connection:
                retired = connection.execute(select(retired_obligations.c.number)).scalar() or 0
            return int(retired) + len(keys(store, "triggered"))

        assert (len(keys(store, "triggered")), totals()) == (4, 7)
        keep(store, "ledger")
        assert (len(keys(store, "triggered")), totals()) == (0, 7)

    def test_several_rounds_at_once_delete_and_count_each_row_once(self, store: Store) -> None:
        add_person(store, "ana")
        enter(store, *(obligation("triggered", f"t{number}") for number in range(60)), attempts=0)
        taken: list[int] = []
        together = threading.Barrier(3)

        def work() -> None:
            together.wait()
            taken.append(sum(old_obligations(days_ago(400)).batches(store, 5)))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        taken.append(sum(old_obligations(days_ago(400)).batches(store, 5)))
        with store.read() as connection:
            retired = connection.execute(select(retired_obligations.c.number)).scalar_one()
        assert (sum(taken), retired, keys(store, "triggered")) == (60, 60, [])

    def test_a_person_is_not_reflected_on_twice_because_their_rows_went(self, store: Store) -> None:
        add_person(store, "ana")
        say(store, "ana", "2026-11-20T12:00:00Z", "hello there")
        remember(store, "ana", "m1", "2026-11-20T12:30:00Z", "She moved.")
        later = NOW + timedelta(days=900)
        for kind in KINDS.values():
            look(store, kind, NOW, 3)
            run_cohort(store, kind=kind)
        before = everything(store)
        assert before["reflections"] != []
        with store.write() as connection:
            connection.execute(update(ledger).where(ledger.c.reported_by.is_(None)).values(reported_by="run"))
        keep_house(store, later, SETTINGS)
        for kind in KINDS.values():
            look(store, kind, NOW, 3)
            assert run_cohort(store, kind=kind) == []
        after = everything(store)
        assert after["reflections"] == before["reflections"]
