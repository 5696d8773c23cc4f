"""What is shown of outcomes: as rows for Dagster, as counts for people. Ids, codes, dates and numbers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.reflections.caused import caused_by
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.settle import Cost, Settlement
from selo_dagster.reflections.states import CLAIMED, DONE, OUTCOMES
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.store.job_runs import lost_runs
from selo_dagster.store.types import database_now

UNREPORTED_AT_ONCE = 1_000


def keys_of(connection: Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """Return each person's partition key."""
    found: dict[str, str] = {}
    for part in chunked(sorted(set(user_ids))):
        rows = connection.execute(select(users.c.id, users.c.key).where(users.c.id.in_(part)))
        found.update({row.id: row.key for row in rows})
    return found


def metadata_of(one: Settlement) -> dict[str, Any]:
    """Return what a materialisation says of an outcome; numbers are plotted by Dagster."""
    shown: dict[str, Any] = {
        "on": one.on.isoformat(),
        "outcome": one.outcome,
        "seconds": round(one.cost.seconds, 4),
        "attempts": one.attempts,
        "input_tokens": one.cost.input_tokens,
        "output_tokens": one.cost.output_tokens,
    }
    if one.cost.words is not None:
        shown["words"] = one.cost.words
    if one.outcome == DONE and one.codes:
        shown["dropped_claims"] = len(one.codes)
    if one.tainted:
        shown["tainted"] = 1
    if one.reason is not None:
        shown["reason"] = one.reason
    if one.caused is not None:
        shown |= one.caused.as_metadata()
    return shown


def mark_reported(connection: Connection, ledger_ids: Sequence[int], run_id: str) -> None:
    """Remember which run showed these outcomes."""
    if ledger_ids:
        connection.execute(
            update(ledger)
            .where(ledger.c.id.in_(sorted(ledger_ids)), ledger.c.reported_by.is_(None), ledger.c.state != CLAIMED)
            .values(reported_by=run_id)
        )


def unreported(connection: Connection, kind: Kind, run_id: str) -> list[Settlement]:
    """Return outcomes that a run which is gone settled but did not show, oldest first, up to a bound.

    A run whose leases hold is alive and shows its own.
    """
    alive = runs_alive()
    return _outcomes(
        connection,
        ledger.c.kind == kind.name,
        ledger.c.settled_at.is_not(None),
        ledger.c.reported_by.is_(None),
        ledger.c.run_id.is_not(None),
        ledger.c.run_id != run_id,
        ledger.c.run_id.not_in(alive),
    )


def runs_alive() -> Select[Any]:
    """Return the SELECT of the runs that hold a row whose lease has not ended."""
    return select(ledger.c.run_id).where(ledger.c.state == CLAIMED, ledger.c.lease_until >= database_now()).distinct()


def runs_past_their_lease(connection: Connection) -> list[str]:
    """Return the runs that hold a row under a lease that has ended, or held one that another run took back."""
    late = select(ledger.c.run_id).where(ledger.c.state == CLAIMED, ledger.c.lease_until < database_now()).distinct()
    found = {run_id for run_id in connection.execute(late).scalars() if run_id is not None}
    gone = lost_runs(connection, of_sagas=False)
    return sorted(found | (gone and gone - set(connection.execute(runs_alive()).scalars())))


def outcomes_of_run(connection: Connection, run_id: str) -> list[Settlement]:
    """Return everything that one run settled or left behind, in order of person and date."""
    return _outcomes(connection, ledger.c.run_id == run_id, ledger.c.state.in_(OUTCOMES), limit=None)


def settled_any(connection: Connection, run_id: str) -> bool:
    """Tell whether a run settled anything, or tried to, that nobody has taken since."""
    mine = select(ledger.c.id).where(ledger.c.run_id == run_id, ledger.c.state.in_(OUTCOMES)).limit(1)
    return connection.execute(mine).scalar() is not None


def _outcomes(connection: Connection, *conditions: Any, limit: int | None = UNREPORTED_AT_ONCE) -> list[Settlement]:
    rows = connection.execute(
        select(ledger).where(*conditions).order_by(ledger.c.user_id, ledger.c.on, ledger.c.id).limit(limit)
    )
    return [
        Settlement(
            ledger_id=row.id,
            user_id=row.user_id,
            kind=row.kind,
            on=row.on,
            outcome=row.state,
            reason=row.reason,
            codes=tuple(row.codes or ()),
            cost=Cost(row.seconds or 0.0, row.model_calls, row.input_tokens, row.output_tokens, row.words),
            attempts=row.attempts,
            reflection_id=row.reflection_id,
            retry_at=row.ready_at,
            caused=caused_by(row.cause),
            tainted=row.tainted,
        )
        for row in rows
    ]


def model_calls_of_run(connection: Connection, run_id: str) -> int:
    """Return how often one run asked a model."""
    calls = select(func.sum(reflection_attempts.c.model_calls)).where(reflection_attempts.c.run_id == run_id)
    return int(connection.execute(calls).scalar() or 0)


def counted(outcomes: Iterable[str]) -> dict[str, int]:
    """Return the number of each outcome, zero included."""
    found = Counter(outcomes)
    return {outcome: found[outcome] for outcome in OUTCOMES}
