"""Ends an obligation: the outcome, what it made and what it read, in one fenced transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, String, bindparam, func, insert, select, update

from selo_dagster.reflections.claim import Claim
from selo_dagster.reflections.states import CLAIMED, DEAD, DEFERRED, DONE, FAILED, REJECTED, SKIPPED
from selo_dagster.reflections.tables import (
    reflection_attempts,
    reflection_days,
    reflection_ledger,
    reflection_sources,
    reflections,
)
from selo_dagster.store.types import database_now

ledger = reflection_ledger
ANSWER_LIMIT = 20_000
"""Characters of a rejected answer that are kept for whoever has to find out why."""

# Built once: every person passes through these, and building a statement costs more than sending it.
_FINISH = (
    update(ledger)
    .where(ledger.c.id == bindparam("row"), ledger.c.epoch == bindparam("held"), ledger.c.state == CLAIMED)
    .values(
        state=bindparam("outcome"),
        reason=bindparam("why"),
        codes=bindparam("violations"),
        ready_at=bindparam("again_at"),
        settled_at=bindparam("ended_at"),
        reflection_id=func.coalesce(bindparam("made", type_=String), ledger.c.reflection_id),
        lease_until=None,
        seconds=bindparam("took"),
        words=bindparam("length"),
        model_calls=ledger.c.model_calls + bindparam("calls"),
        input_tokens=ledger.c.input_tokens + bindparam("read_tokens"),
        output_tokens=ledger.c.output_tokens + bindparam("written_tokens"),
    )
)
_END_ATTEMPT = (
    update(reflection_attempts)
    .where(
        reflection_attempts.c.ledger_id == bindparam("row"),
        reflection_attempts.c.number == bindparam("turn"),
        reflection_attempts.c.epoch == bindparam("held"),
    )
    .values(
        outcome=bindparam("ending"),
        ended_at=database_now(),
        model_calls=bindparam("calls"),
        error_class=bindparam("broken"),
        codes=bindparam("violations"),
        answer=bindparam("said"),
        input_hash=bindparam("seen"),
    )
)
_INSERT_REFLECTION = insert(reflections)
_INSERT_SOURCES = insert(reflection_sources)


@dataclass(frozen=True)
class Cost:
    """What an obligation has used. seconds: of wall time; tokens: as counted by the server."""

    seconds: float = 0.0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    words: int | None = None


@dataclass(frozen=True)
class Made:
    """A reflection ready to be stored. insights: [{text, evidence: ["memory:id", …]}]."""

    id: str
    content: str
    themes: list[str]
    insights: list[dict[str, Any]]
    actions: list[str]
    emotional_state: dict[str, Any]
    trait_changes: list[dict[str, Any]]
    model: str
    zone: str
    zone_rules: str
    window_start: datetime
    window_end: datetime
    input_hash: str
    sources: tuple[tuple[str, str, Literal["cited", "read", "dropped"]], ...]
    late_days: tuple[date, ...] = ()


@dataclass(frozen=True)
class Settlement:
    """How one obligation ended in this run; ids, codes and numbers only, so it may be shown anywhere."""

    ledger_id: int
    user_id: str
    kind: str
    on: date
    outcome: str
    reason: str | None = None
    codes: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)
    attempts: int = 0
    reflection_id: str | None = None
    retry_at: datetime | None = None


def settle_done(connection: Connection, claim: Claim, made: Made, *, cost: Cost, now: datetime) -> Settlement | None:
    """Store the reflection with its sources and finish its row. None: the claim was lost, nothing is stored."""
    if not _finish(connection, claim, now, cost, state=DONE, reflection_id=made.id):
        return None
    version = _next_version(connection, claim)
    row = {name: getattr(made, name) for name in _STORED}
    row |= {"user_id": claim.user_id, "kind": claim.kind, "on": claim.on, "key": claim.key}
    connection.execute(_INSERT_REFLECTION, {**row, "id": made.id, "version": version, "created_at": now})
    if made.sources:
        connection.execute(
            _INSERT_SOURCES,
            [
                {"reflection_id": made.id, "source": source, "source_id": source_id, "use": use}
                for source, source_id, use in made.sources
            ],
        )
    if made.late_days:
        connection.execute(
            update(reflection_days)
            .where(reflection_days.c.user_id == claim.user_id, reflection_days.c.on.in_(made.late_days))
            .values(late=False)
        )
    _end_attempt(connection, claim, DONE, cost)
    return _settlement(claim, DONE, cost, reflection_id=made.id)


_STORED = (
    "content",
    "themes",
    "insights",
    "actions",
    "emotional_state",
    "trait_changes",
    "model",
    "zone",
    "zone_rules",
    "window_start",
    "window_end",
    "input_hash",
)


def settle_skipped(
    connection: Connection, claim: Claim, reason: str, *, cost: Cost, now: datetime
) -> Settlement | None:
    """Finish a row that turned out to need nothing. None: the claim was lost."""
    if not _finish(connection, claim, now, cost, state=SKIPPED, reason=reason):
        return None
    _end_attempt(connection, claim, SKIPPED, cost)
    return _settlement(claim, SKIPPED, cost, reason=reason)


def settle_deferred(
    connection: Connection, claim: Claim, reason: str, *, until: datetime, cost: Cost, now: datetime
) -> Settlement | None:
    """Put a row off that could not be worked on, through no fault of its own. None: the claim was lost."""
    if not _finish(connection, claim, now, cost, state=DEFERRED, reason=reason, ready_at=until):
        return None
    _end_attempt(connection, claim, DEFERRED, cost)
    return _settlement(claim, DEFERRED, cost, reason=reason, retry_at=until)


def settle_rejected(
    connection: Connection,
    claim: Claim,
    codes: tuple[str, ...],
    *,
    answer: str,
    input_hash: str,
    retry_at: datetime | None,
    cost: Cost,
    now: datetime,
) -> Settlement | None:
    """Keep an answer that broke a rule, with its violation codes; without `retry_at` it waits for a person.

    None: the claim was lost.
    """
    if not _finish(connection, claim, now, cost, state=REJECTED, reason=codes[0], codes=list(codes), ready_at=retry_at):
        return None
    kept = answer[:ANSWER_LIMIT].replace("\x00", "")
    _end_attempt(connection, claim, REJECTED, cost, codes=list(codes), answer=kept, input_hash=input_hash)
    return _settlement(claim, REJECTED, cost, reason=codes[0], codes=codes, retry_at=retry_at)


def same_before(connection: Connection, claim: Claim, input_hash: str, outcome: str, error_class: str | None) -> int:
    """Return how many earlier tries of this obligation ended in the same way on the same input."""
    tried = reflection_attempts.c
    return int(
        connection.execute(
            select(func.count()).where(
                tried.ledger_id == claim.id,
                tried.number > claim.forgiven,
                tried.number <= claim.attempts,
                tried.input_hash == input_hash,
                tried.outcome == outcome,
                *([] if error_class is None else [tried.error_class == error_class]),
            )
        ).scalar_one()
    )


def settle_failed(
    connection: Connection,
    claim: Claim,
    error_class: str,
    *,
    retry_at: datetime | None,
    cost: Cost,
    now: datetime,
    input_hash: str | None = None,
) -> Settlement | None:
    """Record a failure by its class; without `retry_at` the row is dead. None: the claim was lost."""
    state = DEAD if retry_at is None else FAILED
    if not _finish(connection, claim, now, cost, state=state, reason=error_class, ready_at=retry_at):
        return None
    _end_attempt(connection, claim, FAILED, cost, error_class=error_class, input_hash=input_hash)
    return _settlement(claim, state, cost, reason=error_class, retry_at=retry_at)


def _finish(
    connection: Connection,
    claim: Claim,
    now: datetime,
    cost: Cost,
    *,
    state: str,
    reason: str | None = None,
    codes: list[str] | None = None,
    ready_at: datetime | None = None,
    reflection_id: str | None = None,
) -> bool:
    # The fence: whoever lost the claim changes nothing, however late it comes.
    finished = connection.execute(
        _FINISH,
        {
            "row": claim.id,
            "held": claim.epoch,
            "outcome": state,
            "why": reason,
            "violations": codes,
            "again_at": ready_at,
            "ended_at": now if ready_at is None else None,
            "made": reflection_id,
            "took": cost.seconds,
            "length": cost.words,
            "calls": cost.model_calls,
            "read_tokens": cost.input_tokens,
            "written_tokens": cost.output_tokens,
        },
    )
    return bool(finished.rowcount)


def _next_version(connection: Connection, claim: Claim) -> int:
    if claim.version == 1:
        return 1
    newest = connection.execute(
        select(func.max(reflections.c.version)).where(
            reflections.c.user_id == claim.user_id, reflections.c.kind == claim.kind, reflections.c.key == claim.key
        )
    ).scalar()
    return int(newest or 0) + 1


def _end_attempt(
    connection: Connection,
    claim: Claim,
    outcome: str,
    cost: Cost,
    *,
    error_class: str | None = None,
    codes: list[str] | None = None,
    answer: str | None = None,
    input_hash: str | None = None,
) -> None:
    connection.execute(
        _END_ATTEMPT,
        {
            "row": claim.id,
            "turn": claim.attempts + 1,
            "held": claim.epoch,
            "ending": outcome,
            "calls": cost.model_calls,
            "broken": error_class,
            "violations": codes,
            "said": answer,
            "seen": input_hash,
        },
    )


def _settlement(claim: Claim, outcome: str, cost: Cost, **values: Any) -> Settlement:
    return Settlement(
        ledger_id=claim.id,
        user_id=claim.user_id,
        kind=claim.kind,
        on=claim.on,
        outcome=outcome,
        cost=cost,
        attempts=claim.attempts + 1,
        **values,
    )
