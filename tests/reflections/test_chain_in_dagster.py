"""The nightly chain as Dagster runs it: daily and mantra together for a range, failures where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.assets import reflection_assets
from selo_dagster.store.engine import Store
from tests.support.dagster import NOW_TEXT, instance_of, mind_with, statuses
from tests.support.fakes import FakeModel, add_person, by_the_book, say


@pytest.fixture
def instance(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Four people who spoke on Sunday."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    for user in ("ana", "ben", "cleo", "dan"):
        add_person(store, user)
        say(store, user, "2026-11-22T10:00:00Z", f"hello from {user}")
    with instance_of(store) as made:
        yield made


def materialise(
    instance: dg.DagsterInstance, assets: list[str], model: FakeModel, **config: Any
) -> dg.ExecuteInProcessResult:
    """Materialise some assets of the chain for a range of people, as a backfill does."""
    return dg.materialize(
        [reflection_assets["nightly_reflections"]],
        instance=instance,
        selection=assets,
        tags={"dagster/asset_partition_range_start": "ana", "dagster/asset_partition_range_end": "cleo"},
        run_config={"ops": {"nightly_reflections": {"config": {"now": NOW_TEXT} | config}}},
        resources={"mind": mind_with(model)},
        raise_on_error=False,
    )


def test_daily_and_mantra_together_serve_a_range_in_their_order(instance: dg.DagsterInstance) -> None:
    model = FakeModel()
    assert materialise(instance, ["daily_reflection", "mantra"], model).success
    expected = dict.fromkeys(("ana", "ben", "cleo"), "MATERIALIZED")
    assert statuses(instance) == expected
    assert statuses(instance, "mantra") == expected
    assert instance.get_materialized_partitions(dg.AssetKey("relationship_questions")) == set()
    tasks = [request.task for request in model.asked]
    assert tasks == ["reflection"] * 3 + ["mantra"] * 3


def test_a_mantra_alone_waits_for_dailies_that_are_not_there(instance: dg.DagsterInstance) -> None:
    model = FakeModel()
    assert materialise(instance, ["mantra"], model).success
    assert model.asked == []
    assert "MATERIALIZED" not in statuses(instance, "mantra").values()


def test_a_daily_that_fails_turns_its_person_red_and_the_others_get_their_mantra(instance: dg.DagsterInstance) -> None:
    async def not_for_ben(request: CompletionRequest) -> str:
        if request.subject == "ben" and request.task == "reflection":
            raise ModelError("overloaded")
        return await by_the_book(request)

    result = materialise(instance, ["daily_reflection", "mantra"], FakeModel(not_for_ben))
    assert not result.success
    assert statuses(instance) == {"ana": "MATERIALIZED", "ben": "FAILED", "cleo": "MATERIALIZED"}
    shown = statuses(instance, "mantra")
    assert {user for user, status in shown.items() if status == "MATERIALIZED"} == {"ana", "cleo"}


def test_a_past_date_is_made_up_for_the_whole_chain(instance: dg.DagsterInstance, store: Store) -> None:
    for user in ("ana", "ben", "cleo"):
        say(store, user, "2026-10-01T10:00:00Z", "in october")
    chain = ["daily_reflection", "mantra", "relationship_questions"]
    model = FakeModel()
    assert materialise(instance, chain, model, date="2026-10-01").success
    assert {request.covers for request in model.asked} == {"Thursday 1 October 2026"}
    assert len(model.asked) == 9
