"""How long obligations and their attempts are kept; what was reflected stays, and so does what prevents it twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, exists, or_, select

from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.one_offs import one_offs
from selo_dagster.reflections.retired import retired_obligations
from selo_dagster.reflections.states import CANCELLED, PLACED, SETTLED
from selo_dagster.reflections.tables import reflection_attempts, reflection_ledger
from selo_dagster.store.old_rows import OldRows
from selo_dagster.store.upsert import insert_or_add

ledger, attempts = reflection_ledger, reflection_attempts

_COUNTED: Final = ("model_calls", "input_tokens", "output_tokens", "seconds")


def undated_kinds() -> list[str]:
    """Return the kinds that something causes. A date may be asked for at any age, so a dated row is what says done."""
    return sorted(name for name, kind in KINDS.items() if not kind.cadence.dated)


def old_attempts(older_than: datetime) -> OldRows:
    """Return the ended attempts that began before `older_than`, of obligations that are settled."""
    settled = select(ledger.c.id).where(ledger.c.id == attempts.c.ledger_id, ledger.c.state.in_(SETTLED)).exists()
    return OldRows(attempts, (attempts.c.started_at < older_than, attempts.c.ended_at.is_not(None), settled))


def old_obligations(older_than: datetime) -> OldRows:
    """Return the settled obligations of undated kinds that ended before `older_than`.

    Each was caused once: its key, an instant, an event or a one-off, does not come again. What a run settled and no
    run has shown yet stays. Their totals are added to `retired_obligations` in the transaction that deletes them.
    """
    where = (
        ledger.c.kind.in_(undated_kinds()),
        ledger.c.state.in_(SETTLED),
        ledger.c.settled_at < older_than,
        ledger.c.ready_at.is_(None),
        or_(ledger.c.reported_by.is_not(None), ledger.c.run_id.is_(None)),
    )
    return OldRows(ledger, where, told=("kind", "state", *_COUNTED), before=_retire)


def old_one_offs(older_than: datetime) -> OldRows:
    """Return the one-offs of before `older_than` that were placed or taken back, and of which nothing is open."""
    unsettled = exists().where(
        ledger.c.user_id == one_offs.c.user_id,
        ledger.c.kind == one_offs.c.kind,
        ledger.c.key == one_offs.c.id,
        ledger.c.state.not_in(SETTLED),
    )
    where = (
        one_offs.c.state.in_((PLACED, CANCELLED)),
        one_offs.c.due_at < older_than,
        one_offs.c.created_at < older_than,
        or_(one_offs.c.placed_at.is_(None), one_offs.c.placed_at < older_than),
        ~unsettled,
    )
    return OldRows(one_offs, where)


def _retire(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """Add what these rows count to the totals of rows that are gone."""
    number: Counter[tuple[str, str]] = Counter()
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row.kind, row.state)
        number[key] += 1
        mine = sums.setdefault(key, dict.fromkeys(_COUNTED, 0) | {"seconds": 0.0})
        for name in _COUNTED:
            mine[name] += getattr(row, name) or 0
    totals = [
        {"kind": kind, "state": state, "number": number[kind, state], **sums[kind, state]}
        for kind, state in sorted(sums)
    ]
    insert_or_add(connection, retired_obligations, totals)
