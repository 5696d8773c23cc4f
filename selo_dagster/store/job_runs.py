"""What each run of a job did, in numbers; independent of what Dagster remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Connection, Index, Integer, String, Table, select, update

from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
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

LOST_LEASE: Final = "LostLease"
"""The error of a run that was taken for dead. One that only slept says something else when it ends."""

SAGA_JOBS: Final = "saga_"
"""How the jobs of sagas begin."""

LOST_RUNS_FOR_S: Final = 86_400.0
"""Seconds after their start in which lost runs are looked for: longer than any run may last."""


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


def note_finish(connection: Connection, run_id: str, job: str | None, tally: Tally, error: str | None = None) -> None:
    """Remember what a run did, and the class of what ended it, if something did. job: None where it has only one."""
    connection.execute(
        update(job_runs)
        .where(job_runs.c.run_id == run_id, *([] if job is None else [job_runs.c.job == job]))
        .values(
            finished_at=database_now(),
            total=tally.total,
            succeeded=tally.succeeded,
            skipped=tally.skipped,
            failed=tally.failed,
            error=None if error is None else error[:80],
        )
    )


def note_lost(connection: Connection, run_ids: Iterable[str]) -> None:
    """Remember that the lease of runs under way ran out, and that others have what they held."""
    connection.execute(
        update(job_runs)
        .where(job_runs.c.run_id.in_(sorted(set(run_ids))), job_runs.c.finished_at.is_(None))
        .values(error=LOST_LEASE)
    )


def lost_runs(connection: Connection, *, of_sagas: bool) -> set[str]:
    """Return the runs, of sagas or of anything else, whose lease ran out and that have not ended since."""
    sagas = job_runs.c.job.startswith(SAGA_JOBS, autoescape=True)
    found = select(job_runs.c.run_id).where(
        sagas if of_sagas else ~sagas,
        job_runs.c.started_at >= database_now(-LOST_RUNS_FOR_S),
        job_runs.c.finished_at.is_(None),
        job_runs.c.error == LOST_LEASE,
    )
    return set(connection.execute(found).scalars())


@contextmanager
def noted(store: Store, run_id: str, job: str, tally: Callable[[], Tally]) -> Iterator[None]:
    """Note the start of a run's work and its end, however it ends. tally: what was done so far."""
    with store.write() as connection:
        note_start(connection, run_id, job)
    error: str | None = None
    try:
        yield
    except BaseException as broken:
        error = type(broken).__name__
        raise
    finally:
        with store.write() as connection:
            note_finish(connection, run_id, job, tally(), error)
