"""Batched and planned events are not public API of Dagster: what this project relies on is held here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from selo_dagster.asset_events import BATCHED, emit, plan
from selo_dagster.store.engine import normalised_url

people = dg.DynamicPartitionsDefinition(name="people")
KEYS = [f"k{number}" for number in range(253)]


@dg.asset(partitions_def=people)
def shown() -> None:
    """Stand for an asset that an op reports."""


@dg.op(out=dg.Out(dg.Nothing))
def reports(context) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - Dagster reads the annotation
    """Emit more rows than one batch holds; break two."""
    emit(context, [("shown", key, {"outcome": "done", "seconds": 0.5}) for key in KEYS[2:]])
    emit(context, [])
    plan(context, "shown", KEYS[:2])
    raise dg.Failure("two broke")


@dg.job(executor_def=dg.in_process_executor)
def reporting() -> None:
    """Report."""
    reports()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on either storage, quiet about single events as the project's dagster.yaml has it."""
    overrides: dict[str, object] = {
        "telemetry": {"enabled": False},
        "python_logs": {"python_log_level": "INFO"},
    }
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgres_url").replace("postgresql://", "postgresql+psycopg2://")
        overrides["storage"] = {"postgres": {"postgres_url": url}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        made.add_dynamic_partitions("people", KEYS)
        yield made


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run's rows be several batches without being a thousand rows: SQLite stores them one by one."""
    monkeypatch.setattr("selo_dagster.asset_events.BATCH_SIZE", 100)


def test_this_version_of_dagster_takes_batches() -> None:
    assert BATCHED


def test_every_row_of_several_batches_is_stored_and_only_planned_ones_turn_red(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not reporting.execute_in_process(instance=instance, raise_on_error=False).success
    found = instance.get_status_by_partition(dg.AssetKey("shown"), KEYS, people)
    assert found is not None
    values = [status.value if status else None for status in found.values()]
    assert values == ["FAILED"] * 2 + ["MATERIALIZED"] * 251
    record = instance.fetch_materializations(dg.AssetKey("shown"), limit=1).records[0]
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["seconds"].value == 0.5
    assert "Materialized value" not in "".join(capfd.readouterr())


@pytest.mark.postgres
def test_a_batch_costs_a_few_statements_and_not_one_per_person(
    empty_postgres_url: str, instance: dg.DagsterInstance
) -> None:
    if "postgres" not in type(instance.event_log_storage).__name__.lower():
        pytest.skip("SQLite's event log stores one by one: a batch is the same work there")
    engine = create_engine(normalised_url(empty_postgres_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        before = connection.execute(text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))
        start = before.scalar_one()
        reporting.execute_in_process(instance=instance, raise_on_error=False)
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        after = connection.execute(text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))
        assert after.scalar_one() - start < len(KEYS) / 2
    engine.dispose()


def test_without_batches_every_row_is_written_one_by_one(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selo_dagster.asset_events.BATCHED", False)
    monkeypatch.setattr("tests.test_asset_events.KEYS", KEYS[:5])
    assert not reporting.execute_in_process(instance=instance, raise_on_error=False).success
    found = instance.get_status_by_partition(dg.AssetKey("shown"), KEYS[:5], people)
    assert found is not None
    assert [status.value if status else None for status in found.values()] == [None, None, *["MATERIALIZED"] * 3]
