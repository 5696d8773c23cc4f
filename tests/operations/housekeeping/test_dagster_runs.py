"""Old runs go from Dagster with their events, unless the status of somebody's partition rests on them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import get_default_tick_retention_settings, get_tick_retention_settings
from dagster._core.scheduler.instigation import TickStatus

from selo_dagster.asset_events import plan
from selo_dagster.clock import SystemClock
from selo_dagster.operations.housekeeping.dagster_runs import Runs, delete_run, is_ours, prune_runs
from selo_dagster.operations.housekeeping.round import Budget

ROOT = Path(__file__).parents[3]
KEY = dg.AssetKey("daily_reflection")
USERS = dg.DynamicPartitionsDefinition(name="users")


@dg.op(out=dg.Out(dg.Nothing), config_schema={"people": [str], "breaks": bool})
def work(context: dg.OpExecutionContext) -> None:
    """Show people as done; or plan them and break."""
    for one in context.op_config["people"]:
        if context.op_config["breaks"]:
            plan(context, KEY.to_user_string(), [one])
        else:
            context.log_event(dg.AssetMaterialization(KEY, partition=one))
    if context.op_config["breaks"]:
        raise dg.Failure("as told")


@dg.job(executor_def=dg.in_process_executor, tags={"selo/kind": "daily"})
def ours() -> None:
    """One op."""
    work()


@dg.job(executor_def=dg.in_process_executor)
def somebody_elses() -> None:
    """One op."""
    work()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory: its storages answer the same questions, and a run takes a tenth of the time."""
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("users", ["ana", "ben", "cleo"])
        yield made


@pytest.fixture
def on_disk() -> Iterator[dg.DagsterInstance]:
    """An instance as an installation has it: a file for each run beside the index of all assets."""
    with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as made:
        made.add_dynamic_partitions("users", ["ana", "ben", "cleo"])
        yield made


def run(instance: dg.DagsterInstance, *people: str, job: dg.JobDefinition = ours, breaks: bool = False) -> str:
    config = {"ops": {"work": {"config": {"people": list(people), "breaks": breaks}}}}
    config |= {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(instance=instance, run_config=config, raise_on_error=False).run_id


def after(days: float) -> datetime:
    return SystemClock().now() + timedelta(days=days)


def there(instance: dg.DagsterInstance) -> set[str]:
    return {one.run_id for one in instance.get_runs()}


def statuses(instance: dg.DagsterInstance) -> dict[str, str | None]:
    instance.event_log_storage.wipe_asset_cached_status(KEY)
    found = instance.get_status_by_partition(KEY, ["ana", "ben", "cleo"], USERS) or {}
    return {key: None if one is None else one.value for key, one in found.items()}


def test_a_run_goes_with_its_events_once_everybody_of_it_has_a_later_one(instance: dg.DagsterInstance) -> None:
    old = run(instance, "ana", "ben")
    new = run(instance, "ana", "ben", "cleo")
    before = statuses(instance)
    assert prune_runs(instance, after(61), 60, 180) == Runs(deleted=1, holding=1)
    assert there(instance) == {new}
    assert instance.event_log_storage.get_logs_for_run(old) == []
    assert statuses(instance) == before


def test_a_run_on_which_one_partition_rests_stays_whole(on_disk: dg.DagsterInstance) -> None:
    goes = run(on_disk, "ben")
    holds = run(on_disk, "ana", "ben")
    run(on_disk, "ben", "cleo")
    before = statuses(on_disk)
    assert before == {"ana": "MATERIALIZED", "ben": "MATERIALIZED", "cleo": "MATERIALIZED"}
    assert prune_runs(on_disk, after(61), 60, 180) == Runs(deleted=1, holding=2)
    assert ({goes, holds} & there(on_disk), statuses(on_disk)) == ({holds}, before)


def test_without_that_rule_the_partition_would_be_shown_as_never_made(instance: dg.DagsterInstance) -> None:
    delete_run(instance, run(instance, "ana"))
    assert statuses(instance)["ana"] is None


def test_a_failed_run_is_kept_longer_and_for_as_long_as_somebody_is_red(instance: dg.DagsterInstance) -> None:
    red = run(instance, "ana", breaks=True)
    mended = run(instance, "ben", breaks=True)
    run(instance, "ben")
    assert statuses(instance)["ana"] == "FAILED"
    assert prune_runs(instance, after(179), 60, 180).deleted == 0
    assert prune_runs(instance, after(181), 60, 180).deleted == 1
    assert (red in there(instance), mended in there(instance)) == (True, False)
    assert statuses(instance)["ana"] == "FAILED"


def test_young_runs_and_those_of_others_stay(instance: dg.DagsterInstance) -> None:
    run(instance)
    assert prune_runs(instance, after(59), 60, 180) == Runs()
    elses = run(instance, job=somebody_elses)
    assert prune_runs(instance, after(61), 60, 180).deleted == 1
    assert there(instance) == {elses}


def test_a_dry_run_says_what_would_go_and_deletes_nothing(instance: dg.DagsterInstance) -> None:
    runs = {run(instance), run(instance)}
    assert prune_runs(instance, after(61), 60, 180, dry_run=True).deleted == 2
    assert there(instance) == runs


def test_it_stops_between_two_runs_when_time_is_up(instance: dg.DagsterInstance) -> None:
    runs = [run(instance) for _ in range(3)]
    seconds = iter(range(100))
    found = prune_runs(instance, after(61), 60, 180, budget=Budget(2.0, lambda: next(seconds)))
    assert (found.deleted, found.finished, there(instance)) == (1, False, set(runs[1:]))
    assert prune_runs(instance, after(61), 60, 180) == Runs(deleted=2)


def test_whoever_is_killed_between_the_events_and_the_run_leaves_a_run_that_the_next_round_finds(
    instance: dg.DagsterInstance,
) -> None:
    half = run(instance, "ana")
    instance.event_log_storage.delete_events(half)
    assert prune_runs(instance, after(61), 60, 180).deleted == 1
    assert there(instance) == set()


def test_a_run_that_the_daemon_started_is_known_by_its_code() -> None:
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

    def origin(module: str) -> JobPythonOrigin:
        code = ModuleCodePointer(module, "defs", None)
        return JobPythonOrigin("sync_users", RepositoryPythonOrigin("python", code))

    bare = dg.DagsterRun("sync_users", "r1")
    assert not is_ours(bare)
    assert is_ours(bare._replace(job_code_origin=origin("selo_dagster.definitions")))
    assert not is_ours(bare._replace(job_code_origin=origin("selo_dagster_of_others.definitions")))


@pytest.mark.parametrize("file", ["dagster.yaml", "deploy/dagster.yaml"])
def test_ticks_of_schedules_and_sensors_are_purged_by_the_instance_itself(file: str) -> None:
    retention = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["retention"]
    for kind, name in ((InstigatorType.SCHEDULE, "schedule"), (InstigatorType.SENSOR, "sensor")):
        days = get_tick_retention_settings(retention[name], get_default_tick_retention_settings(kind))
        assert all(0 < days[one] <= 90 for one in (TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE))
