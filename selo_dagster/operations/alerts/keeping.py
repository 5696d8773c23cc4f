"""Keeps the alerts in step with what is so: folds signals in, opens, and takes back what is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, text, update

from selo_dagster.operations.alerts.tables import OPENED, RESOLVED, STILL, alert_notices, alerts
from selo_dagster.operations.problems import SAGA_PROBLEMS, Problem, counted
from selo_dagster.sagas.tables import saga_alerts, sagas
from selo_dagster.store.alert_signals import alert_signals
from selo_dagster.store.types import database_now

FOLDED_AT_ONCE: Final = 1_000
OVER_AFTER_S: Final = 120
"""Seconds for which something must no longer be so before it counts as over: what comes and goes is told once."""

REPEATED_AFTER: Final = (timedelta(hours=6), timedelta(hours=12), timedelta(hours=24))
"""How long an alert stands before it is told again: after the first, the second, and every further time."""

SAGA_FAILED: Final = "saga_failed"
SAGA_CODES: Final = {condition: code for condition, (code, _) in SAGA_PROBLEMS.items()} | {
    "failed": SAGA_FAILED,
    "parked_after_pivot": "saga_parked",
}
"""Code of an alert in the saga's journal -> code of the alert that is told."""

_LOCK: Final = 0x5E10_0003

Key = tuple[str, str]
"""(code, subject)."""


@dataclass(frozen=True)
class Kept:
    """What one round changed, in alerts."""

    opened: int = 0
    repeated: int = 0
    resolved: int = 0


def lock_alerts(connection: Connection) -> None:
    """Make this write transaction the only one that keeps the alerts. SQLite's write lock does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def keep(connection: Connection, problems: Sequence[Problem], *, blind: Collection[str] = ()) -> Kept:
    """Bring the alerts in step, in one transaction with the notices that tell of it.

    problems: what needs a person now. blind: codes that the caller cannot see, whose alerts stay as they are. A
    signal opens an alert also where its problem has gone again: nobody is told less because the look came late. The
    same alert is one row, however often it is signalled.
    """
    lock_alerts(connection)
    signalled = _folded(connection)
    standing = {(one.code, one.subject): one.message for one in problems} | _failing(connection)
    seen: Mapping[Key, str] = {key: _told_of(key, number) for key, number in signalled.items()} | standing
    open_now: dict[Key, Any] = {
        (row.code, row.subject): row
        for row in connection.execute(select(alerts, database_now().label("now")).where(alerts.c.resolved_at.is_(None)))
    }
    for key in seen.keys() & open_now.keys():
        connection.execute(
            update(alerts)
            .where(alerts.c.id == open_now[key].id)
            .values(
                seen_at=database_now(),
                cleared_at=None,
                message=seen[key],
                times=alerts.c.times + signalled.get(key, 0),
            )
        )
    opened = [key for key in sorted(seen) if key not in open_now]
    for key in opened:
        _open(connection, key, seen[key], signalled.get(key, 1))
    return Kept(
        len(opened),
        _repeat(connection, {key: row for key, row in open_now.items() if key in seen}, seen),
        _resolve(
            connection,
            [row for (code, about), row in open_now.items() if (code, about) not in seen and code not in blind],
        ),
    )


def _folded(connection: Connection) -> Counter[Key]:
    """Take the signals in and return how many there were of each; they are gone with this transaction's commit."""
    found: Counter[Key] = Counter()
    while True:
        rows = connection.execute(
            select(alert_signals.c.id, alert_signals.c.code, alert_signals.c.subject)
            .order_by(alert_signals.c.id)
            .limit(FOLDED_AT_ONCE)
        ).all()
        found.update((row.code, row.subject) for row in rows)
        connection.execute(delete(alert_signals).where(alert_signals.c.id.in_([row.id for row in rows])))
        if len(rows) < FOLDED_AT_ONCE:
            break
    untold = connection.execute(
        select(saga_alerts.c.id, saga_alerts.c.code, sagas.c.type)
        .join(sagas, sagas.c.id == saga_alerts.c.saga_id)
        .where(saga_alerts.c.delivered_at.is_(None))
    ).all()
    found.update((SAGA_CODES.get(row.code, row.code), row.type) for row in untold)
    for start in range(0, len(untold), FOLDED_AT_ONCE):
        ids = [row.id for row in untold[start : start + FOLDED_AT_ONCE]]
        connection.execute(update(saga_alerts).where(saga_alerts.c.id.in_(ids)).values(delivered_at=database_now()))
    return found


def _failing(connection: Connection) -> dict[Key, str]:
    """Return the sagas that broke and are not at the end of their way back: no problem, but worth a word."""
    rows = connection.execute(
        select(sagas.c.type, func.count().label("n"))
        .join(saga_alerts, saga_alerts.c.saga_id == sagas.c.id)
        .where(saga_alerts.c.code == "failed", saga_alerts.c.resolved_at.is_(None))
        .group_by(sagas.c.type)
    )
    return {(SAGA_FAILED, row.type): f"{row.type}: {counted(row.n, 'saga')} failed and on the way back" for row in rows}


def _told_of(key: Key, number: int) -> str:
    code, subject = key
    return f"{subject or 'the event stream'}: {code.replace('_', ' ')} {number} times, and over when it was looked at"


def _open(connection: Connection, key: Key, message: str, times: int) -> None:
    code, subject = key
    (alert_id,) = connection.execute(
        insert(alerts).values(code=code, subject=subject, message=message, times=times).returning(alerts.c.id)
    ).one()
    _tell(connection, alert_id, OPENED, message)


def _tell(connection: Connection, alert_id: int, what: str, message: str) -> None:
    connection.execute(insert(alert_notices).values(alert_id=alert_id, what=what, message=message, reached=[]))


def _repeat(connection: Connection, rows: Mapping[Key, Any], messages: Mapping[Key, str]) -> int:
    if not rows:
        return 0
    told = {
        row.alert_id: row
        for row in connection.execute(
            select(
                alert_notices.c.alert_id,
                func.count().label("n"),
                func.max(alert_notices.c.created_at).label("last"),
            )
            .where(alert_notices.c.alert_id.in_([row.id for row in rows.values()]))
            .group_by(alert_notices.c.alert_id)
        )
    }
    repeated = 0
    for key, row in rows.items():
        so_far = told[row.id]
        if row.now - so_far.last >= REPEATED_AFTER[min(so_far.n, len(REPEATED_AFTER)) - 1]:
            _tell(connection, row.id, STILL, messages[key])
            repeated += 1
    return repeated


def _resolve(connection: Connection, rows: Collection[Any]) -> int:
    resolved = 0
    for row in rows:
        if row.cleared_at is None:
            connection.execute(update(alerts).where(alerts.c.id == row.id).values(cleared_at=database_now()))
        elif row.now - row.cleared_at >= timedelta(seconds=OVER_AFTER_S):
            connection.execute(update(alerts).where(alerts.c.id == row.id).values(resolved_at=database_now()))
            _tell(connection, row.id, RESOLVED, row.message)
            resolved += 1
    return resolved
