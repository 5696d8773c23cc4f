"""An asset's checks say who is behind, also where every partition is green."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest
from sqlalchemy import update

from selo_dagster.clock import FixedClock
from selo_dagster.operations.asset_checks import CHECKS, status_checks
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY, KINDS
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, add_person, say


@pytest.fixture
def answered(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], dict[str, bool]]:
    """Answer the daily's checks at an hour of the day after; returns name -> passed."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    add_person(store, "ana")
    say(store, "ana", "2026-11-22T10:00:00Z")
    enrol(store, DAILY, NOW, 3)

    def answer(hour: int) -> dict[str, bool]:
        definitions = dg.Definitions(
            assets=[dg.AssetSpec(kind.asset) for kind in KINDS.values()],
            asset_checks=[status_checks(lambda: FixedClock(NOW.replace(hour=hour)))],
        )
        done = definitions.resolve_implicit_global_asset_job_def().execute_in_process()
        found = done.get_asset_check_evaluations()
        assert len(found) == len(KINDS) * len(CHECKS)
        mine = [one for one in found if one.asset_key == dg.AssetKey(DAILY.asset)]
        assert all("ana" in str(one.metadata) for one in mine if one.check_name == "on_time" and not one.passed)
        return {one.check_name: one.passed for one in mine}

    return answer


def test_somebody_who_waits_too_long_is_named_by_their_partition(
    answered: Callable[[int], dict[str, bool]],
) -> None:
    assert answered(5) == {"on_time": True, "nothing_broken": True, "not_in_vain": True}
    assert answered(7) == {"on_time": False, "nothing_broken": True, "not_in_vain": True}


def test_a_dead_obligation_breaks_its_check(store: Store, answered: Callable[[int], dict[str, bool]]) -> None:
    with store.write() as connection:
        connection.execute(update(ledger).values(state="dead", ready_at=None))
    assert answered(5) == {"on_time": True, "nothing_broken": False, "not_in_vain": True}
