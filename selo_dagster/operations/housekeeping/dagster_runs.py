"""Dagster's own records: this project's old runs go with their events, unless a partition's status rests on them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg

from selo_dagster.operations.housekeeping.round import Budget

log = logging.getLogger(__name__)

GROUP: Final = "dagster_runs"
PAGE: Final = 200
TOLD_EVERY: Final = 100
OURS: Final = "selo/"
"""How the tags of this project's jobs begin."""

OUR_CODE: Final = "selo_dagster"

ENDED_WELL: Final = (dg.DagsterRunStatus.SUCCESS,)
ENDED_BADLY: Final = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass
class Runs:
    """What a round did to Dagster's runs. deleted: runs that are gone, or would be; holding: old ones that stay."""

    deleted: int = 0
    holding: int = 0
    finished: bool = True


def prune_runs(
    instance: dg.DagsterInstance,
    now: datetime,
    keep_days: int,
    failure_days: int,
    *,
    dry_run: bool = False,
    budget: Budget | None = None,
) -> Runs:
    """Delete the runs of this project that ended well before `keep_days`, and badly before `failure_days`.

    A run that holds the latest materialisation of a partition, or the failure that turned one red, stays: without
    its events the partition would be shown as never materialised. Safe to run twice at once, and to kill.
    """
    young, younger = now - timedelta(days=failure_days), now - timedelta(days=keep_days)
    old = [*_old(instance, ENDED_WELL, younger), *_old(instance, ENDED_BADLY, young)]
    found = Runs()
    if not old:
        return found
    holding = runs_holding_a_status(instance, younger)
    for run_id in old:
        if run_id in holding:
            found.holding += 1
        elif budget is not None and budget.spent():
            found.finished = False
            break
        else:
            if not dry_run:
                delete_run(instance, run_id)
            found.deleted += 1
            if not dry_run and found.deleted % TOLD_EVERY == 0:
                log.info("housekeeping: %d runs of %d so far", found.deleted, len(old))
    return found


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete what a run's steps printed, then its events, then the run.

    Dagster's own order is the other one: whoever is killed in between leaves events that no run leads to any more.
    """
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.event_log_storage.delete_events(run_id)
    instance.delete_run(run_id)
    file_of = getattr(instance.event_log_storage, "path_for_shard", None)
    if file_of is not None:
        # On SQLite each run has a file of its own, which Dagster leaves behind empty.
        for ending in ("", "-wal", "-shm"):
            Path(f"{file_of(run_id)}{ending}").unlink(missing_ok=True)


def is_ours(run: dg.DagsterRun) -> bool:
    """Tell whether a run is of this project, on an instance that others may share: by its tags or its code."""
    if any(name.startswith(OURS) for name in run.tags):
        return True
    if run.job_code_origin is None:
        return False
    module = getattr(run.job_code_origin.repository_origin.code_pointer, "module", "")
    return str(module).partition(".")[0] == OUR_CODE


def _old(instance: dg.DagsterInstance, statuses: Sequence[dg.DagsterRunStatus], before: datetime) -> list[str]:
    """Return our runs of these states that ended before an instant, oldest first."""
    chosen = dg.RunsFilter(statuses=list(statuses), updated_before=before)
    found, cursor = [], None
    while True:
        page = instance.get_run_records(chosen, limit=PAGE, cursor=cursor)
        found += [
            one.dagster_run.run_id
            for one in page
            if is_ours(one.dagster_run) and (one.end_time is None or one.end_time < before.timestamp())
        ]
        if len(page) < PAGE:
            return found[::-1]
        cursor = page[-1].dagster_run.run_id


def runs_holding_a_status(instance: dg.DagsterInstance, before: datetime) -> set[str]:
    """Return the runs on which the present status of an asset or a partition rests, of those that ended before then."""
    found: set[str] = set()
    for key in instance.get_asset_keys():
        found.update(_of_asset(instance, key, before))
    return found


def _of_asset(instance: dg.DagsterInstance, key: dg.AssetKey, before: datetime) -> Iterator[str]:
    newest = instance.fetch_materializations(key, limit=1).records
    yield from (one.run_id for one in newest)
    log_storage = instance.event_log_storage
    made = log_storage.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
    # Whatever an old run wrote has no greater number than the newest event from before then: only those of people
    # of whom nothing came since are looked up.
    last = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, before_timestamp=before.timestamp()), limit=1
    ).records
    old = sorted(one for one in made.values() if last and one <= last[0].storage_id)
    for start in range(0, len(old), PAGE):
        part = old[start : start + PAGE]
        chosen = dg.AssetRecordsFilter(asset_key=key, storage_ids=part)
        yield from (one.run_id for one in instance.fetch_materializations(chosen, limit=len(part)).records)
    red = log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
    yield from (run_id for run_id, _ in red.values())
