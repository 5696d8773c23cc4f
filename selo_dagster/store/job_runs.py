"""What each run of a job did, in numbers; independent of what Dagster remembers."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, Connection, Index, Integer, String, Table, update

from selo_dagster.store.base import metadata
from selo_dagster.store.types import UTCDateTime, database_now
from selo_dagster.store.upsert import insert_missing

job_runs = Table(
    "job_runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("job", String(60), primary_key=True, comment="a reflection kind, or the job's name"),
    Column("started_at", UTCDateTime, nullable=False, default=database_now(), comment="by the database's clock"),
    Column("finished_at", UTCDateTime, comment="by the database's clock; NULL: under way, or dead"),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("error", String(80), comment="class of what ended it, if something did"),
    Index("ix_job_runs_job", "job", "started_at"),
)


@dataclass(frozen=True)
class Tally:
    """What a run did, in people, sagas or rows. The rest of total was put off to another time."""

    total: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0


def note_start(connection: Connection, run_id: str, job: str) -> None:
    """Remember that a run has begun. One that begins again under the same id keeps its first start."""
    insert_missing(connection, job_runs, [{"run_id": run_id, "job": job}])


def note_finish(connection: Connection, run_id: str, job: str, tally: Tally, error: str | None = None) -> None:
    """Remember what a run did, and the class of what ended it, if something did."""
    connection.execute(
        update(job_runs)
        .where(job_runs.c.run_id == run_id, job_runs.c.job == job)
        .values(
            finished_at=database_now(),
            total=tally.total,
            succeeded=tally.succeeded,
            skipped=tally.skipped,
            failed=tally.failed,
            error=None if error is None else error[:80],
        )
    )
