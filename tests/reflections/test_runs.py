"""Runs in Dagster: what they show of each person, and that nothing doubles or goes stale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import select, update

from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.people.partitions import sync_partitions
from selo_dagster.people.tables import users
from selo_dagster.reflections.assets import reflection_assets
from selo_dagster.reflections.definitions import jobs
from selo_dagster.reflections.due import enrol
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.reflections.run import ReflectionConfig
from selo_dagster.reflections.tables import reflection_ledger
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.support.dagster import execute, instance_of, mind_with, statuses
from tests.support.fakes import NOW, FakeModel, add_person, by_the_book, good_answer, run_cohort, say


@pytest.fixture
def store(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that the settings name too, since runs open their own."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    return store


@pytest.fixture
def instance(store: Store) -> Iterator[dg.DagsterInstance]:
    """An instance with a partition for each of three people who had a Sunday."""
    for name in ("ana", "ben", "cy"):
        add_person(store, name)
        say(store, name, "2026-11-22T10:00:00Z", f"I am {name}")
    add_person(store, "quiet")
    enrol(store, DAILY, NOW, 3)
    with instance_of(store) as made:
        yield made


def materializations(instance: dg.DagsterInstance) -> dict[str, list[dict[str, object]]]:
    """Return the metadata of every materialisation, by partition, oldest first."""
    found: dict[str, list[dict[str, object]]] = {}
    for record in instance.fetch_materializations(dg.AssetKey("daily_reflection"), limit=1000, ascending=True).records:
        made = record.asset_materialization
        assert made is not None
        assert made.partition is not None
        found.setdefault(made.partition, []).append({name: value.value for name, value in made.metadata.items()})
    return found


async def broken_for_ben(request: CompletionRequest) -> str:
    """Fail for one of three."""
    if request.subject == "ben":
        raise ConnectionError
    return await by_the_book(request)


def test_a_cohort_shows_each_person_as_a_partition(instance: dg.DagsterInstance) -> None:
    result = execute(jobs["daily"], instance)
    assert result.success
    shown = materializations(instance)
    assert sorted(shown) == ["ana", "ben", "cy"]
    (ana,) = shown["ana"]
    assert (ana["on"], ana["outcome"], ana["attempts"], ana["output_tokens"]) == ("2026-11-22", "done", 1, 20)
    assert statuses(instance) == {"ana": "MATERIALIZED", "ben": "MATERIALIZED", "cy": "MATERIALIZED"}


def test_exactly_the_failed_people_turn_red_and_the_next_success_clears_them(instance: dg.DagsterInstance) -> None:
    result = execute(jobs["daily"], instance, FakeModel(broken_for_ben))
    assert not result.success
    assert statuses(instance) == {"ana": "MATERIALIZED", "ben": "FAILED", "cy": "MATERIALIZED"}
    later = {"now": (NOW + timedelta(hours=2)).isoformat()}
    assert execute(jobs["daily"], instance, config=later).success
    assert statuses(instance)["ben"] == "MATERIALIZED"
    assert len(materializations(instance)["ana"]) == 1


def test_the_failure_names_people_by_key_and_codes_only(instance: dg.DagsterInstance) -> None:
    result = execute(jobs["daily"], instance, FakeModel(broken_for_ben))
    (event,) = result.get_step_failure_events()
    error = event.step_failure_data.error
    assert error is not None
    assert "1 of 3 people were not reflected on: ben" in error.message


def test_one_person_of_the_jobs_page_is_a_cohort_of_one(instance: dg.DagsterInstance) -> None:
    model = FakeModel()
    assert execute(jobs["daily"], instance, model, partition_key="ben").success
    assert [asked.subject for asked in model.asked] == ["ben"]
    assert statuses(instance) == {"ben": "MATERIALIZED"}


def test_a_person_with_nothing_to_read_is_settled_and_says_why(instance: dg.DagsterInstance) -> None:
    model = FakeModel()
    assert execute(jobs["daily"], instance, model, partition_key="quiet").success
    assert model.asked == []
    (shown,) = materializations(instance)["quiet"]
    assert (shown["outcome"], shown["reason"]) == ("skipped", "never_interacted")


def test_a_person_who_is_done_is_not_asked_again_unless_forced(instance: dg.DagsterInstance) -> None:
    model = FakeModel()
    for config in ({}, {}, {"force": True}):
        assert execute(jobs["daily"], instance, model, partition_key="ben", config=config).success
    assert len(model.asked) == 2
    assert [shown["outcome"] for shown in materializations(instance)["ben"]] == ["done", "unchanged", "done"]


def test_whoever_is_made_again_may_be_told_to_evolve_anew_and_is_not_by_default(
    instance: dg.DagsterInstance, store: Store
) -> None:
    seen = []
    for config in ({}, {"force": True}, {"force": True, "evolve": True}, {"force": True}):
        assert execute(jobs["daily"], instance, partition_key="ben", config=config).success
        with store.read() as connection:
            row = connection.execute(select(reflection_ledger).where(reflection_ledger.c.user_id == "ben")).one()
        seen.append((row.version, row.evolve))
    assert seen == [(1, False), (2, False), (3, True), (4, False)]


def test_a_date_that_has_not_ended_for_the_person_is_refused(instance: dg.DagsterInstance, store: Store) -> None:
    result = execute(jobs["daily"], instance, partition_key="ben", config={"on": "2026-11-23"})
    assert not result.success
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.error is not None
    assert "not_ended: 2026-11-23 has not ended for ben" in event.step_failure_data.error.message
    with store.read() as connection:
        assert {row.on.isoformat() for row in connection.execute(select(reflection_ledger))} == {"2026-11-22"}


def test_a_refusal_calls_the_person_by_the_partition_key_and_keeps_the_id_out_of_dagster(
    instance: dg.DagsterInstance, store: Store
) -> None:
    with store.write() as connection:
        connection.execute(update(users).where(users.c.id == "ben").values(key="u_1"))
    sync_partitions(store, instance)
    result = execute(jobs["daily"], instance, partition_key="u_1", config={"on": "2026-11-23"})
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.error is not None
    assert "2026-11-23 has not ended for u_1" in event.step_failure_data.error.message
    assert "ben" not in event.step_failure_data.error.message


def test_three_nights_in_a_row_stay_green_though_every_upstream_asset_has_events(
    instance: dg.DagsterInstance, store: Store
) -> None:
    for asset in ("messages", "memories", "daily_reflection"):
        instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition="ana"))
    for night in range(3):
        now = NOW + timedelta(days=night)
        say(store, "ana", now - timedelta(hours=20), f"night {night}")
        enrol(store, DAILY, now, 3)
        assert execute(jobs["daily"], instance, config={"now": now.isoformat()}).success
    assert [shown["on"] for shown in materializations(instance)["ana"] if shown] == [
        "2026-11-22",
        "2026-11-23",
        "2026-11-24",
    ]


def test_a_backfill_range_of_the_asset_serves_exactly_those_people_for_a_past_date(
    instance: dg.DagsterInstance, store: Store
) -> None:
    for name in ("ana", "ben", "cy"):
        say(store, name, "2026-10-01T10:00:00Z", "long ago")
    model = FakeModel()
    result = dg.materialize(
        [reflection_assets["nightly_reflections"]],
        instance=instance,
        selection=["daily_reflection"],
        tags={"dagster/asset_partition_range_start": "ana", "dagster/asset_partition_range_end": "ben"},
        run_config={"ops": {"nightly_reflections": {"config": {"on": "2026-10-01", "now": NOW.isoformat()}}}},
        resources={"mind": mind_with(model)},
        raise_on_error=False,
    )
    assert result.success
    assert sorted(asked.subject for asked in model.asked) == ["ana", "ben"]
    assert statuses(instance) == {"ana": "MATERIALIZED", "ben": "MATERIALIZED"}
    assert [shown["on"] for shown in materializations(instance)["ana"]] == ["2026-10-01"]


def test_what_a_killed_run_settled_but_did_not_show_is_shown_by_the_next(
    instance: dg.DagsterInstance, store: Store
) -> None:
    run_cohort(store, run_id="killed-before-it-could-show")
    assert materializations(instance) == {}
    assert execute(jobs["daily"], instance).success
    assert sorted(materializations(instance)) == ["ana", "ben", "cy"]
    assert execute(jobs["daily"], instance).success
    assert [len(shown) for shown in materializations(instance).values()] == [1, 1, 1]


def test_a_rejected_answer_turns_its_person_red(instance: dg.DagsterInstance) -> None:
    async def answering(request: CompletionRequest) -> str:
        return good_answer(request, themes=[]) if request.subject == "cy" else good_answer(request)

    assert not execute(jobs["daily"], instance, FakeModel(answering)).success
    assert statuses(instance) == {"ana": "MATERIALIZED", "ben": "MATERIALIZED", "cy": "FAILED"}


def test_a_date_may_be_typed_as_date_or_sent_as_on_and_no_field_has_a_name_that_yaml_reads_otherwise(
    instance: dg.DagsterInstance, store: Store
) -> None:
    import yaml

    assert all(yaml.safe_load(name) == name for name in ReflectionConfig.model_fields if name != "on")
    say(store, "ben", "2026-10-01T10:00:00Z", "long ago")
    for config in ({"date": "2026-10-01"}, {"on": "2026-10-01"}, {"date": "2026-10-01", "on": "2026-10-01"}):
        assert execute(jobs["daily"], instance, partition_key="ben", config=config).success
    assert [shown["on"] for shown in materializations(instance)["ben"]] == ["2026-10-01"] * 3
    for config in ({"date": "2026-10-01", "on": "2026-10-02"}, {"date": "yesterday"}):
        result = execute(jobs["daily"], instance, partition_key="ben", config=config)
        (event,) = result.get_step_failure_events()
        assert event.step_failure_data.error is not None
        assert "bad_date" in event.step_failure_data.error.message
