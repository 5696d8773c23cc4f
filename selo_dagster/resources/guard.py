"""The resource guard: a durable state, moved by samples with hysteresis, that holds scheduled work back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from selo_dagster.resources.sample import Sample, Sampler
from selo_dagster.resources.tables import resource_guard, resource_samples
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from selo_dagster.store.upsert import insert_missing

OPEN: Final = "open"
CLOSED: Final = "closed"
UNKNOWN: Final = "unknown"
COULD_NOT_TELL: Final = "could_not_tell"

HYSTERESIS: Final = 10.0
"""Percent points below its limit that a metric has to fall before the guard opens again."""

DISK_HYSTERESIS: Final = 2.0
SAMPLES: Final = 2
"""Samples in a row that it takes to close, and to open: one spike is no pressure."""

KEPT_S: Final = 24 * 3_600
LAST_HOUR_S: Final = 3_600
USUAL_FACTOR: Final = 0.2
"""Where nothing was sampled (the predecessor's)."""


@dataclass(frozen=True)
class Limits:
    """Percent from which a metric closes the guard. disk_warn: from which the disk is only told of."""

    cpu: float
    memory: float
    disk_warn: float
    disk: float
    model: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits that the settings name."""
        return cls(
            settings.cpu_limit,
            settings.memory_limit,
            settings.disk_warn,
            settings.disk_limit,
            settings.model_load_limit,
        )


@dataclass(frozen=True)
class Judged:
    """What a sample makes of a state. reasons: [{metric, percent, limit}]; streak: samples that ask for a change."""

    state: str
    reasons: tuple[dict[str, Any], ...]
    streak: int


def judge(state: str, streak: int, sample: Sample, limits: Limits) -> Judged:
    """Apply the rules to one more sample.

    Processors, memory and the model server close it after two samples in a row, and open it after two in a row
    that lie well below; in between it stays as it is. The disk closes at once where writes would soon fail and
    opens as soon as there is room, since it does not recover by waiting; below that it is only told of. What
    cannot be read holds back too.
    """
    measured = {"cpu": sample.cpu, "memory": sample.memory, "disk": sample.disk}
    unread = tuple({"metric": name, "reason": COULD_NOT_TELL} for name, percent in measured.items() if percent is None)
    if unread:
        return Judged(UNKNOWN, unread, 0)
    disk_limit = limits.disk - (DISK_HYSTERESIS if state == CLOSED else 0.0)
    full = _over("disk", sample.disk, limits.disk if state != CLOSED else disk_limit)
    if full:
        return Judged(CLOSED, full, 0)
    slow = (
        ("cpu", sample.cpu, limits.cpu),
        ("memory", sample.memory, limits.memory),
        ("model", sample.model, limits.model),
    )
    over = tuple(found for one in slow for found in _over(*one))
    near = tuple(found for name, percent, limit in slow for found in _over(name, percent, limit - HYSTERESIS))
    if state == CLOSED:
        if near:
            return Judged(CLOSED, near, 0)
        return Judged(OPEN, (), 0) if streak + 1 >= SAMPLES else Judged(CLOSED, (), streak + 1)
    if not over:
        return Judged(OPEN, (), 0)
    return Judged(CLOSED, over, 0) if streak + 1 >= SAMPLES else Judged(OPEN, (), streak + 1)


def _over(name: str, percent: float | None, limit: float) -> tuple[dict[str, Any], ...]:
    if percent is None or percent < limit:
        return ()
    return ({"metric": name, "percent": round(percent, 1), "limit": limit},)


@dataclass(frozen=True)
class Verdict:
    """The guard's state. since: by the database's clock; blocked_s: seconds in it; warnings: of the disk."""

    state: str
    reasons: tuple[dict[str, Any], ...]
    since: datetime
    blocked_s: float
    warnings: tuple[str, ...] = ()

    @property
    def holds_back(self) -> bool:
        """Whether scheduled work waits: also when nobody can tell how things are."""
        return self.state != OPEN

    @property
    def sentence(self) -> str:
        """Say why, and for how long."""
        why = ", ".join(
            f"{one['metric']} cannot be read"
            if one.get("reason") == COULD_NOT_TELL
            else f"{one['metric']} {one['percent']:g} % (limit {one['limit']:g} %)"
            for one in self.reasons
        )
        return f"{why or 'not long enough below its limits'}, {self.state} for {_spoken(self.blocked_s)}"


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def look(store: Store, sampler: Sampler, limits: Limits, *, fresh_s: float = 20.0) -> Verdict:
    """Return the guard's state; samples first, unless somebody did within the last `fresh_s` seconds."""
    with store.read() as connection:
        known = _row(connection)
    if known is not None and known.age_s < fresh_s:
        return known.verdict
    sample = sampler()
    with store.write() as connection:
        connection.execute(
            insert(resource_samples).values(cpu=sample.cpu, memory=sample.memory, disk=sample.disk, model=sample.model)
        )
        connection.execute(delete(resource_samples).where(resource_samples.c.at < database_now(-KEPT_S)))
        insert_missing(connection, resource_guard, [_first(connection)])
        row = connection.execute(select(resource_guard).with_for_update()).one()
        if known is not None and row.looked_at != known.looked_at:
            # Somebody else looked meanwhile: two samples at once must not count as two in a row.
            found = _row(connection)
            if found is not None:
                return found.verdict
        judged = judge(row.state, row.streak, sample, limits)
        changed = {"since": database_now()} if judged.state != row.state else {}
        reasons = list(judged.reasons) + [
            {"metric": "disk", "warning": True, "percent": round(sample.disk, 1), "limit": limits.disk_warn}
            for _ in range(1)
            if sample.disk is not None and limits.disk_warn <= sample.disk and judged.state == OPEN
        ]
        connection.execute(
            update(resource_guard).values(
                state=judged.state, reasons=reasons, looked_at=database_now(), streak=judged.streak, **changed
            )
        )
        after = _row(connection)
    if after is None:
        raise RuntimeError("the guard's row is gone")
    return after.verdict


def verdict_now(connection: Connection) -> Verdict | None:
    """Return the guard's state as it was last seen; None: nobody ever looked."""
    known = _row(connection)
    return None if known is None else known.verdict


@dataclass(frozen=True)
class _Known:
    verdict: Verdict
    age_s: float
    looked_at: datetime


def _row(connection: Connection) -> _Known | None:
    row = connection.execute(select(resource_guard, database_now().label("now"))).one_or_none()
    if row is None:
        return None
    reasons = tuple(one for one in row.reasons if not one.get("warning"))
    warnings = tuple(
        f"the disk is {one['percent']:g} % full (warning from {one['limit']:g} %)"
        for one in row.reasons
        if one.get("warning")
    )
    blocked = max(0.0, (row.now - row.since).total_seconds())
    verdict = Verdict(row.state, reasons, row.since, blocked, warnings)
    return _Known(verdict, (row.now - row.looked_at) / timedelta(seconds=1), row.looked_at)


def _first(connection: Connection) -> dict[str, Any]:
    now = connection.execute(select(database_now())).scalar_one()
    return {"id": 1, "state": OPEN, "reasons": [], "since": now, "looked_at": now, "streak": 0}


def resource_factor(connection: Connection) -> float:
    """Return how used up the machine was in the last hour, 0-1: the greater 75th percentile of processors and memory.

    Source: the predecessor's adaptive scheduler; 0.2 where nothing was sampled.
    """
    rows = connection.execute(
        select(resource_samples.c.cpu, resource_samples.c.memory).where(
            resource_samples.c.at >= database_now(-LAST_HOUR_S)
        )
    ).all()
    found = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    return max([_upper_quartile(values) for values in found if values], default=USUAL_FACTOR * 100) / 100


def _upper_quartile(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[-1] if len(ordered) < 2 else ordered[min(len(ordered) - 1, (3 * len(ordered)) // 4)]
