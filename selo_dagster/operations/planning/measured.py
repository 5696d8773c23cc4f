"""What an obligation of each kind takes, by those that were settled lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Any, Final

from sqlalchemy import Connection, and_, func, select

from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import DONE, UNCHANGED
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.settings import Settings
from selo_dagster.store.job_runs import job_runs

attempts = reflection_attempts
DAYS: Final = 7
"""Local dates that are looked back on."""

SAMPLE: Final = 1_000
"""Newest obligations of a kind and outcome that are measured."""

TRIM: Final = 0.05
"""Share left out at each end: one call that hung must not move a night."""

CALL_SHARE: Final = 0.5
"""Of the time that a call may take: what one is taken to need while none was measured."""

NO_MODEL_S: Final = 0.02
"""Seconds of an obligation that waits for no server, while none was measured."""

ROW_S: Final = 0.02
"""Seconds of a run for each obligation beside its calls, while no run was measured: what is read, stored and shown."""

RUNS: Final = 10
"""Newest runs of a kind that are measured."""

LEAST_IN_A_RUN: Final = 20
"""Obligations that a run must have settled to be measured: the start of a smaller one outweighs its work."""


@dataclass(frozen=True)
class Measured:
    """What one obligation takes. seconds: in its slot; row_s: of its run, beside the calls of others.

    begin_s: from the start of a run to its first call.

    number: how many were measured, 0: these are defaults. calls, input_tokens, output_tokens: None: never measured.
    """

    seconds: float
    row_s: float = ROW_S
    begin_s: float = 0.0
    number: int = 0
    runs: int = 0
    calls: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None

    @property
    def tokens(self) -> float:
        """Tokens read and written; 0 where that is not known."""
        return (self.input_tokens or 0.0) + (self.output_tokens or 0.0)


def measured(connection: Connection, settings: Settings, now: datetime) -> dict[str, Measured]:
    """Return what each kind takes: a trimmed mean over the last days, else a default."""
    return {name: _of_kind(connection, settings, name, now) for name in KINDS}


def _of_kind(connection: Connection, settings: Settings, name: str, now: datetime) -> Measured:
    first = (now - timedelta(days=DAYS)).date()
    sampled: list[tuple[int, Sequence[Any]]] = []
    for state in (DONE, UNCHANGED):
        mine = (ledger.c.kind == name, ledger.c.state == state, ledger.c.on >= first)
        number = connection.execute(select(func.count()).where(*mine)).scalar_one()
        rows = connection.execute(
            select(ledger.c.seconds, ledger.c.model_calls, ledger.c.input_tokens, ledger.c.output_tokens)
            .where(*mine, ledger.c.seconds.is_not(None))
            .order_by(ledger.c.on.desc())
            .limit(SAMPLE)
        ).all()
        if rows:
            sampled.append((number, rows))
    runs = _runs_of(connection, settings, name)
    if not sampled:
        return Measured(_default_s(settings, name), runs.row_s, runs.begin_s, runs=runs.number)
    # Each outcome weighs as often as it came about, however many of it were looked at.
    weights = [number for number, _ in sampled]
    means = [[trimmed([float(row[place]) for row in rows]) for place in range(4)] for _, rows in sampled]
    columns = [
        sum(weight * each[place] for weight, each in zip(weights, means, strict=True)) / sum(weights)
        for place in range(4)
    ]
    number = sum(len(rows) for _, rows in sampled)
    return Measured(columns[0], runs.row_s, runs.begin_s, number, runs.number, *columns[1:])


def trimmed(values: Sequence[float], share: float = TRIM) -> float:
    """Return the mean of values without the given share at each end. Raises StatisticsError for none."""
    cut = int(len(values) * share)
    return fmean(sorted(values)[cut : len(values) - cut])


def _default_s(settings: Settings, name: str) -> float:
    if KINDS[name].shape.task is None or settings.llm_url is None:
        return NO_MODEL_S
    return settings.call_timeout_s * CALL_SHARE


@dataclass(frozen=True)
class _Runs:
    """What runs of a kind took beside their calls: for each obligation, and until the first of them."""

    row_s: float = ROW_S
    begin_s: float = 0.0
    number: int = 0


def _runs_of(connection: Connection, settings: Settings, name: str) -> _Runs:
    rows = connection.execute(
        select(
            job_runs.c.started_at,
            job_runs.c.total,
            func.min(attempts.c.started_at).label("first"),
            func.max(attempts.c.ended_at).label("last"),
            func.sum(ledger.c.seconds).label("called"),
        )
        .join(ledger, and_(ledger.c.run_id == job_runs.c.run_id, ledger.c.kind == name))
        .join(attempts, and_(attempts.c.ledger_id == ledger.c.id, attempts.c.run_id == job_runs.c.run_id))
        .where(job_runs.c.run_id.in_(_newest_runs(connection, name)), job_runs.c.job == name)
        .group_by(job_runs.c.run_id, job_runs.c.started_at, job_runs.c.total)
    ).all()
    beside, begun = [], []
    for row in rows:
        if row.last is not None and row.called is not None:
            worked = (row.last - row.first).total_seconds()
            beside.append(max(0.0, worked - float(row.called) / settings.llm_slots) / row.total)
            begun.append(max(0.0, (row.first - row.started_at).total_seconds()))
    return _Runs(median(beside), median(begun), len(beside)) if beside else _Runs()


def _newest_runs(connection: Connection, name: str) -> list[str]:
    return list(
        connection.execute(
            select(job_runs.c.run_id)
            .where(
                job_runs.c.job == name,
                job_runs.c.finished_at.is_not(None),
                job_runs.c.error.is_(None),
                job_runs.c.total >= LEAST_IN_A_RUN,
            )
            .order_by(job_runs.c.started_at.desc())
            .limit(RUNS)
        ).scalars()
    )
