"""How long it is remembered what runs did; the last run of each job stays whatever its age."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, func

from selo_dagster.store.job_runs import job_runs
from selo_dagster.store.old_rows import OldRows


def old_job_runs(older_than: datetime) -> OldRows:
    """Return the runs that began before `older_than` and after which the same job began and finished another."""
    later = job_runs.alias("later")
    newer = exists().where(
        later.c.job == job_runs.c.job,
        later.c.started_at > job_runs.c.started_at,
        later.c.finished_at > func.coalesce(job_runs.c.finished_at, job_runs.c.started_at),
    )
    return OldRows(job_runs, (job_runs.c.started_at < older_than, newer))
