"""The old rows of the operations room: alerts that are over and told, and answers to requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, exists, select

from selo_dagster.operations.alerts.tables import alert_notices, alerts
from selo_dagster.operations.http.tables import idempotency_keys
from selo_dagster.store.old_rows import OldRows


def old_notices(older_than: datetime) -> OldRows:
    """Return the notices of the alerts that `old_alerts` returns: they go first."""
    over = select(alerts.c.id).where(alerts.c.id == alert_notices.c.alert_id, *_over(older_than))
    return OldRows(alert_notices, (over.exists(),))


def old_alerts(older_than: datetime) -> OldRows:
    """Return the alerts that were over before `older_than` and of which every notice is delivered."""
    return OldRows(alerts, _over(older_than))


def old_answers(older_than: datetime) -> OldRows:
    """Return what was answered before `older_than` to requests that may be repeated."""
    return OldRows(idempotency_keys, (idempotency_keys.c.created_at < older_than,))


def _over(older_than: datetime) -> tuple[ColumnElement[bool], ...]:
    # A name of its own: the notices are also what is asked for.
    notices = alert_notices.alias("of_the_alert")
    untold = exists().where(notices.c.alert_id == alerts.c.id, notices.c.delivered_at.is_(None))
    return (alerts.c.resolved_at < older_than, ~untold)
