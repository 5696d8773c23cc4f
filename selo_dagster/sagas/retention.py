"""How long the private part of the journal is kept; the saga's row stays for ever: its key is what starts it once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, exists, false, or_, select

from selo_dagster.sagas.states import COMPLETED, ENDED
from selo_dagster.sagas.tables import saga_alerts, saga_attempts, saga_definitions, saga_steps, sagas
from selo_dagster.store.old_rows import OldRows

LONG: Final = 3_650
"""Days that are assumed of a definition that does not say how long it can be undone."""

KEPT_WHOLE: Final = ("user_erasure",)
"""Types whose journal is the proof of what they did."""


def past_undo(connection: Connection, now: datetime, keep_days: int) -> ColumnElement[bool]:
    """Return the condition of sagas that are completed and that nobody can undo any more.

    How long one can be undone is said by the definition that it was started with, and never counts for less. One
    that was undone, or cancelled, can be started anew at any time and is not among them.
    """
    known = connection.execute(
        select(saga_definitions.c.type, saga_definitions.c.version, saga_definitions.c.document).order_by(
            saga_definitions.c.type, saga_definitions.c.version
        )
    )
    chosen = []
    for row in known:
        if row.type in KEPT_WHOLE:
            continue
        # A day more than the window: whoever asks at its very end is let through by its last second.
        days = max(keep_days, int(row.document.get("undo_days", LONG)) + 1)
        chosen.append(
            and_(
                sagas.c.type == row.type,
                sagas.c.version == row.version,
                sagas.c.state == COMPLETED,
                sagas.c.ended_at < now - timedelta(days=days),
            )
        )
    return or_(false(), *chosen)


def old_payloads(undoable_no_more: ColumnElement[bool]) -> OldRows:
    """Return the steps whose output and undo data nobody can need: the row stays, with its state and times."""
    theirs = exists().where(sagas.c.id == saga_steps.c.saga_id, undoable_no_more)
    full = or_(saga_steps.c.output.is_not(None), saga_steps.c.undo.is_not(None))
    return OldRows(saga_steps, (full, theirs), emptied={"output": None, "undo": None})


def old_tries(older_than: datetime) -> OldRows:
    """Return the failed tries from before `older_than` of sagas that have ended since before it."""
    return OldRows(saga_attempts, (saga_attempts.c.at < older_than, _ended(saga_attempts.c.saga_id, older_than)))


def old_saga_alerts(older_than: datetime) -> OldRows:
    """Return the alerts that were settled and told before `older_than`, of sagas that have ended since before it."""
    where = (
        saga_alerts.c.resolved_at < older_than,
        saga_alerts.c.delivered_at.is_not(None),
        _ended(saga_alerts.c.saga_id, older_than),
    )
    return OldRows(saga_alerts, where)


def _ended(saga_id: ColumnElement[str], older_than: datetime) -> ColumnElement[bool]:
    return exists().where(sagas.c.id == saga_id, sagas.c.state.in_(ENDED), sagas.c.ended_at < older_than)
