"""What the last run of each job did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from selo_dagster.output import instant
from selo_dagster.store.job_runs import job_runs
from selo_dagster.store.types import database_now


def last_runs(connection: Connection) -> list[dict[str, Any]]:
    """Return one entry a job: its last finished run, and what is under way.

    seconds: of the last finished run; running_s: since the oldest unfinished start after it, None if there is none.
    Times are the database's.
    """
    finished = (
        select(job_runs.c.job, func.max(job_runs.c.finished_at).label("finished_at"))
        .group_by(job_runs.c.job)
        .subquery("finished")
    )
    last = {
        row.job: row
        for row in connection.execute(
            select(job_runs).join(
                finished, (finished.c.job == job_runs.c.job) & (finished.c.finished_at == job_runs.c.finished_at)
            )
        )
    }
    begun = {
        row.job: row
        for row in connection.execute(
            select(
                job_runs.c.job,
                func.max(job_runs.c.started_at).label("last_start"),
                func.max(database_now()).label("now"),
            ).group_by(job_runs.c.job)
        )
    }
    under_way: dict[str, datetime] = {}
    for row in connection.execute(
        select(job_runs.c.job, job_runs.c.started_at)
        .where(job_runs.c.finished_at.is_(None))
        .order_by(job_runs.c.started_at)
    ):
        done = last.get(row.job)
        if done is None or row.started_at >= done.finished_at:
            under_way.setdefault(row.job, row.started_at)
    return [_entry(job, begun[job], last.get(job), under_way.get(job)) for job in sorted(begun)]


def _entry(job: str, begun: Any, last: Any, under_way: datetime | None) -> dict[str, Any]:
    return {
        "job": job,
        "last_start": instant(begun.last_start),
        "last_finish": None if last is None else instant(last.finished_at),
        "seconds": None if last is None else round((last.finished_at - last.started_at).total_seconds(), 3),
        "total": 0 if last is None else last.total,
        "succeeded": 0 if last is None else last.succeeded,
        "skipped": 0 if last is None else last.skipped,
        "failed": 0 if last is None else last.failed,
        "error": None if last is None else last.error,
        "running_s": None if under_way is None else round((begun.now - under_way).total_seconds(), 1),
    }
