"""deploy/dagster.yaml: Dagster reads it whole, on a real PostgreSQL, as the role that deploy/postgres/ makes for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy.engine import make_url

import selo_dagster.definitions
from selo_dagster.reflections.jobs import KIND_TAG
from selo_dagster.sagas.ops import TYPE_TAG
from tests.deploy.files import DEPLOY, ROOT, read_yaml
from tests.deploy.roles import run_file


@pytest.fixture
def instance(empty_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance from the shipped file, which finds its database in the environment."""
    run_file(empty_postgres_url, "dagster.sql")
    url = make_url(empty_postgres_url).set(drivername="postgresql+psycopg2", username="dagster")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.render_as_string(hide_password=False))
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


@pytest.mark.postgres
def test_dagster_keeps_its_records_in_postgresql_and_what_processes_print_nowhere(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
    assert isinstance(instance.compute_log_manager, NoOpComputeLogManager)
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


@pytest.mark.postgres
def test_a_run_whose_process_is_gone_ends_and_is_not_repeated_by_dagster(instance: dg.DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.get_settings("run_monitoring")["max_runtime_seconds"] == 7200
    assert instance.run_monitoring_max_resume_run_attempts == 0
    assert instance.run_retries_max_retries == 0


@pytest.mark.postgres
def test_no_kind_takes_every_place_in_the_queue(instance: dg.DagsterInstance) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    limits: dict[str, int] = {one["key"]: one["limit"] for one in queue.tag_concurrency_limits}
    assert set(limits) == {KIND_TAG, TYPE_TAG}
    assert all(one["value"] == {"applyLimitPerUniqueValue": True} for one in queue.tag_concurrency_limits)
    assert max(limits.values()) * 2 < queue.max_concurrent_runs


def test_a_pool_would_need_a_limit_and_nothing_uses_one() -> None:
    repository = selo_dagster.definitions.defs.get_repository_def()
    ops = (node.definition for job in repository.get_all_jobs() for node in job.graph.nodes)
    pools = {pool for op in ops if isinstance(op, dg.OpDefinition) for pool in op.pools}
    assert pools == set()
    assert "pools" not in read_yaml("dagster.yaml")["concurrency"]


def test_production_differs_from_one_machine_only_where_it_means_to() -> None:
    import yaml

    local: dict[str, Any] = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    production = read_yaml("dagster.yaml")
    assert set(local) <= set(production)
    same = {"telemetry", "nux", "python_logs", "run_queue", "run_retries", "sensors", "schedules"}
    assert {name: production[name] for name in same} == {name: local[name] for name in same}
    assert local["run_monitoring"].items() <= production["run_monitoring"].items()


def test_the_code_is_served_by_a_process_of_its_own() -> None:
    (location,) = read_yaml("workspace.yaml")["load_from"]
    assert location["grpc_server"] == {"host": "code", "port": 4000, "location_name": "selo_dagster"}
