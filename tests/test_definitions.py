"""What the code location holds, by name; and that it loads anywhere, lightly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from selo_dagster.definitions import defs

ROOT = Path(__file__).parent.parent


def fresh(code: str, **environ: str) -> str:
    """Run code in a fresh interpreter; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environ},
        check=True,
    )
    return done.stdout


def test_every_job_schedule_and_sensor_is_known_by_name_cron_zone_and_default_status() -> None:
    repository = defs.get_repository_def()
    jobs = sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__"))
    schedules = sorted(
        (one.name, one.job_name, one.cron_schedule, one.execution_timezone, one.default_status.value)
        for one in repository.schedule_defs
    )
    sensors = sorted((one.name, one.default_status.value) for one in repository.sensor_defs)
    assert jobs == [
        "adaptive_reflections",
        "daily_reflections",
        "evaluate",
        "housekeeping",
        "mantra_refresh",
        "one_off_reflections",
        "persona_reassessment",
        "plan_night",
        "relationship_answer_audit",
        "relationship_questions",
        "saga_companion_notice",
        "saga_conversation_processing",
        "saga_desk",
        "saga_episode_generation",
        "saga_goal_creation",
        "saga_persona_evolution",
        "saga_user_erasure",
        "status_checks",
        "sync_users",
        "triggered_reflections",
        "weekly_reflections",
    ]
    nightly = {"housekeeping": "40 3 * * *", "plan_night": "15 * * * *", "status_checks": "7 * * * *"}
    # A saga is no matter of time: sensors start it. An evaluation asks a model: somebody starts it.
    timed = [job for job in jobs if not job.startswith("saga_") and job != "evaluate"]
    assert schedules == [(f"{job}_schedule", job, nightly.get(job, "*/15 * * * *"), "UTC", "RUNNING") for job in timed]
    assert sensors == [
        (name, "RUNNING")
        for name in ("alerts", "due_requests", "memory_events", "resource_guard", "saga_monitor", "saga_runs")
    ]


def test_assets_are_partitioned_by_users_with_lineage_from_what_is_read() -> None:
    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert keys == {
        "messages",
        "memories",
        "daily_reflection",
        "weekly_reflection",
        "mantra",
        "relationship_questions",
        "relationship_answer_audit",
        "triggered_reflection",
        "one_off_reflection",
        "adaptive_reflection",
        "persona_reassessment",
        "persona",
        "goals",
        "episodes",
        "persona_undo",
        "night_plan",
        "evaluation",
    }
    chain = graph.get(dg.AssetKey("mantra"))
    assert {key.to_user_string() for key in chain.parent_keys} == {"daily_reflection"}
    daily = graph.get(dg.AssetKey("daily_reflection"))
    assert {key.to_user_string() for key in daily.parent_keys} == {"messages", "memories"}
    assert isinstance(daily.partitions_def, dg.DynamicPartitionsDefinition)
    assert daily.backfill_policy == dg.BackfillPolicy.multi_run(500)


def test_definitions_load_in_a_fresh_interpreter_without_database_or_network(tmp_path: Path) -> None:
    unreachable = "postgresql://nobody@127.0.0.1:1/none"
    out = fresh("import selo_dagster.definitions as d; print(len(list(d.defs.jobs)))", DATABASE_URL=unreachable)
    assert out.strip().isdigit()
    assert not (tmp_path / "selo").exists()


def test_loading_stays_light() -> None:
    heavy = [
        *("alembic", "openai", "httpx2", "starlette", "uvicorn", "sqlalchemy.orm"),
        *("dagster._core.remote_representation.external", "selo_dagster.llm.extractive", "selo_dagster.cli"),
    ]
    code = (
        "import sys, json, dagster; before = set(sys.modules); import selo_dagster.definitions; "
        f"print(json.dumps([name for name in {heavy} if name in sys.modules and name not in before]))"
    )
    assert json.loads(fresh(code)) == []


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_loading_leaves_the_garbage_collector_as_it_was(before: str) -> None:
    code = f"import gc; gc.{before}(); import selo_dagster.definitions; print(gc.isenabled())"
    assert fresh(code).strip() == str(before == "enable")


def test_wrong_settings_stop_the_first_use_with_the_variables_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selo_dagster", "due", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "SELO_CATCHUP_DAYS": "0"},
        check=False,
    )
    assert done.returncode == 2
    assert "SELO_CATCHUP_DAYS" in json.loads(done.stdout)["error"]["message"]
