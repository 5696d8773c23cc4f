"""Ends runs whose process is gone without a word, so that they do not keep a place in the queue."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg


def end_dead_runs(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> int:
    """Report runs as failed whose leases have run out although Dagster takes them for alive; returns how many.

    Dagster's default launcher cannot see that a worker died together with its code server: such a run stays
    "started" until its maximum run time, and four of them would stop the queue. One that only slept finds itself
    fenced when it wakes.
    """
    ids = sorted(set(run_ids))
    if not ids:
        return 0
    ended = 0
    for run in instance.get_runs(dg.RunsFilter(run_ids=ids, statuses=[dg.DagsterRunStatus.STARTED])):
        instance.report_run_failed(run, "its lease ran out: the process is gone, and others go on with its work")
        ended += 1
    return ended
