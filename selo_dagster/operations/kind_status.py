"""How one kind of reflection is doing: counts, lag against its target, and whether it makes anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, select

from selo_dagster.output import instant
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DONE, REJECTED, SETTLED, SKIPPED, STATES, Reason
from selo_dagster.store.types import database_now

LAG_TARGET_S: Final = 6 * 3600
"""Seconds after which a row that nobody took needs a person: no tick, no daemon, or far too much work."""

PROMPT_LAG_TARGET_S: Final = 3600
"""The same for kinds that answer to something that has just happened."""

ALWAYS_MAKES: Final = frozenset({"daily", "weekly", "mantra"})
"""Kinds of which a row exists only where there is something to make something of."""

FRUITLESS_DAYS: Final = 3
FRUITLESS_LEAST: Final = 10
"""Rows of a kind, settled one after the other without making anything, from which on nobody believes it."""

TAINTED_WITHIN: Final = timedelta(hours=24)
"""How far back is counted what was made from hostile or untrusted text."""


def lag_target_s(name: str) -> int:
    """Return the seconds after which a row of a kind is overdue."""
    return LAG_TARGET_S if KINDS[name].cadence.dated else PROMPT_LAG_TARGET_S


def kind_status(connection: Connection, name: str, now: datetime) -> dict[str, Any]:
    """Return how a kind is doing, ready for JSON. Seconds are of the domain's clock."""
    mine = ledger.c.kind == name
    states: dict[str, int] = {
        row.state: row.n
        for row in connection.execute(
            select(ledger.c.state, func.count().label("n")).where(mine).group_by(ledger.c.state)
        )
    }
    refused = connection.execute(
        select(func.count()).where(mine, ledger.c.state == REJECTED, ledger.c.ready_at.is_(None))
    ).scalar_one()
    too_old = connection.execute(
        select(func.count()).where(mine, ledger.c.state == SKIPPED, ledger.c.reason == Reason.TOO_OLD)
    ).scalar_one()
    oldest, ready = connection.execute(
        select(func.min(ledger.c.since), func.count()).where(mine, ledger.c.ready_at <= now)
    ).one()
    expired = connection.execute(
        select(func.count()).where(mine, ledger.c.state == CLAIMED, ledger.c.lease_until < database_now())
    ).scalar_one()
    waiting = connection.execute(
        select(func.count()).where(mine, ledger.c.state == DEFERRED, ledger.c.ready_at.is_(None))
    ).scalar_one()
    last = connection.execute(select(func.max(ledger.c.settled_at)).where(mine)).scalar()
    return {
        "states": {state: states.get(state, 0) for state in STATES},
        "ready": ready,
        "oldest_ready_since": None if oldest is None else instant(oldest),
        "lag_s": 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
        "lag_target_s": lag_target_s(name),
        "waiting_for_another": waiting,
        "too_old": too_old,
        "rejected_for_good": refused,
        "leases_expired": expired,
        "last_settled_at": None if last is None else instant(last),
        "fruitless": _fruitless(connection, name, now),
        "fruitless_days": FRUITLESS_DAYS,
        "tainted": _tainted(connection, name, now),
    }


def _tainted(connection: Connection, name: str, now: datetime) -> int:
    """Return how many obligations of the last day made something tainted."""
    return connection.execute(
        select(func.count()).where(
            ledger.c.tainted, ledger.c.settled_at > now - TAINTED_WITHIN, ledger.c.kind == name, ledger.c.state == DONE
        )
    ).scalar_one()


def _fruitless(connection: Connection, name: str, now: datetime) -> int:
    """Return how many rows were worked on lately if not one of them made anything, else 0: success in silence."""
    if name not in ALWAYS_MAKES:
        return 0
    worked_on, done = connection.execute(
        select(func.count(), func.count().filter(ledger.c.state == DONE)).where(
            ledger.c.kind == name,
            ledger.c.state.in_(SETTLED),
            ledger.c.settled_at > now - timedelta(days=FRUITLESS_DAYS),
            # A row that was never claimed was skipped by rule: too old, superseded.
            ledger.c.epoch > 0,
        )
    ).one()
    return int(worked_on) if not done and worked_on >= FRUITLESS_LEAST else 0
