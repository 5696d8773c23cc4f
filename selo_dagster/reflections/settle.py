"""Ends an obligation: the outcome, what it made and what it read, in one fenced transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, String, and_, bindparam, func, select, true, update

from selo_dagster.reflections.caused import Caused, caused_by
from selo_dagster.reflections.claim import LOST, Claim, unbegin
from selo_dagster.reflections.states import CLAIMED, DEAD, DEFERRED, DONE, FAILED, REJECTED, SKIPPED, UNCHANGED
from selo_dagster.reflections.tables import reflection_attempts, reflection_ledger
from selo_dagster.store.alert_signals import Signal, signal
from selo_dagster.store.types import database_now

ledger = reflection_ledger
ANSWER_LIMIT = 20_000
"""Characters of a rejected answer that are kept for whoever has to find out why."""

_TRIES = (FAILED, REJECTED, LOST)
"""How attempts end that are tries: no others bring a row nearer to its death."""

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
        tainted=bindparam("touched"),
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


@dataclass(frozen=True)
class Cost:
    """What an obligation has used. seconds: of wall time; tokens: as counted by the server."""

    seconds: float = 0.0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    words: int | None = None


@dataclass(frozen=True)
class Held:
    """What keeps a version that is stored from holding. head: the id of the one that does; reason: a code."""

    head: str
    reason: str


class Made(Protocol):
    """Something ready to be stored."""

    @property
    def id(self) -> str:
        """Its id, 32 hexadecimal digits."""
        ...

    @property
    def words(self) -> int | None:
        """Words of its main text, if it has one."""
        ...

    @property
    def dropped(self) -> tuple[str, ...]:
        """Why claims of the answer were dropped from it, a code each."""
        ...

    @property
    def tainted(self) -> bool:
        """Whether it was made from something that tried to give an order, or came from an untrusted writer."""
        ...

    def store(self, connection: Connection, claim: Claim, now: datetime) -> Held | None:
        """Insert it, in the transaction that finishes its row; says so where the former version holds on.

        Raises SourceGoneError where a source is gone.
        """
        ...


@dataclass(frozen=True)
class Rejected:
    """An answer that may not be used, with the codes that say why."""

    codes: tuple[str, ...]
    answer: str
    words: int | None = None


@dataclass(frozen=True)
class Nothing:
    """There is nothing to make: skipped, unchanged, or deferred where it could not be looked at.

    read_upto: place in the stream up to which was looked.
    """

    outcome: Literal["skipped", "unchanged", "deferred"]
    reason: str
    read_upto: int | None = None


OnSettled = Callable[[Connection], None]
"""What else belongs into the transaction that finishes a row."""

OnMade = Callable[[Connection, Claim, Made, datetime], None]
"""What follows from what was made, asked for in the transaction that stores it."""


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
    caused: Caused | None = None
    tainted: bool = False


def settle_done(
    connection: Connection, claim: Claim, made: Made, *, cost: Cost, now: datetime, also: OnSettled | None = None
) -> Settlement | None:
    """Store what was made and finish its row; its codes say which claims of the answer were dropped.

    A new version that may not take the place of the former one is stored beside it: the outcome is `unchanged`.
    None: the claim was lost, nothing is stored. Raises SourceGoneError where a source is gone: to be rolled back.
    """
    codes = list(made.dropped) or None
    if not _finish(connection, claim, now, cost, state=DONE, codes=codes, reflection_id=made.id, tainted=made.tainted):
        return None
    held = made.store(connection, claim, now)
    if also is not None:
        also(connection)
    if held is not None:
        return _settle_held(connection, claim, held, cost, made)
    _end_attempt(connection, claim, DONE, cost, codes=codes)
    return _settlement(claim, DONE, cost, codes=made.dropped, reflection_id=made.id, tainted=made.tainted)


def _settle_held(connection: Connection, claim: Claim, held: Held, cost: Cost, made: Made) -> Settlement:
    connection.execute(
        update(ledger)
        .where(ledger.c.id == claim.id)
        .values(state=UNCHANGED, reason=held.reason, reflection_id=held.head)
    )
    _end_attempt(connection, claim, UNCHANGED, cost, codes=list(made.dropped) or None)
    told = {"reason": held.reason, "codes": made.dropped, "reflection_id": held.head, "tainted": made.tainted}
    return _settlement(claim, UNCHANGED, cost, **told)


def settle_unchanged(
    connection: Connection, claim: Claim, reason: str, *, cost: Cost, now: datetime, also: OnSettled | None = None
) -> Settlement | None:
    """Finish a row for which there is nothing new to make. None: the claim was lost."""
    if not _finish(connection, claim, now, cost, state=UNCHANGED, reason=reason):
        return None
    if also is not None:
        also(connection)
    _end_attempt(connection, claim, UNCHANGED, cost)
    return _settlement(claim, UNCHANGED, cost, reason=reason)


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


def settle_unbegun(connection: Connection, claim: Claim, reason: str, *, until: datetime) -> Settlement | None:
    """Put a row off of which an attempt was begun and must not be made: it does not count. None: the claim was lost."""
    put_off = {"state": DEFERRED, "reason": reason, "ready_at": until, "lease_until": None}
    if not unbegin(connection, [claim], put_off):
        return None
    untried = replace(claim, attempts=claim.attempts - 1)
    return _settlement(untried, DEFERRED, Cost(), reason=reason, retry_at=until)


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
    if retry_at is None:
        signal(connection, [Signal("rejected", claim.kind, {"row": claim.id, "codes": list(codes)})])
    # Neither database takes a NUL, or half a character.
    kept = answer[:ANSWER_LIMIT].replace("\x00", "").encode("utf-8", "replace").decode()
    _end_attempt(connection, claim, REJECTED, cost, codes=list(codes), answer=kept, input_hash=input_hash)
    return _settlement(claim, REJECTED, cost, reason=codes[0], codes=codes, retry_at=retry_at)


@dataclass(frozen=True)
class Before:
    """Earlier tries of an obligation. same: of them, those that ended in the same way on the same input."""

    tries: int
    same: int


def tried_before(
    connection: Connection, claim: Claim, input_hash: str, outcome: str, error_class: str | None
) -> Before:
    """Return the tries of this obligation before this one, since somebody last asked for it by hand.

    An attempt that was put off or released is none: nothing was tried, or nothing came of it by anybody's fault.
    """
    tried = reflection_attempts.c
    same = and_(
        tried.input_hash == input_hash,
        tried.outcome == outcome,
        true() if error_class is None else tried.error_class == error_class,
    )
    row = connection.execute(
        select(func.count(), func.count().filter(same)).where(
            tried.ledger_id == claim.id,
            tried.number > claim.forgiven,
            tried.number <= claim.attempts,
            tried.outcome.in_(_TRIES),
        )
    ).one()
    return Before(*row)


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
    if state == DEAD:
        signal(connection, [Signal("dead", claim.kind, {"row": claim.id, "class": error_class})])
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
    tainted: bool = False,
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
            "touched": tainted,
            "calls": cost.model_calls,
            "read_tokens": cost.input_tokens,
            "written_tokens": cost.output_tokens,
        },
    )
    return bool(finished.rowcount)


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
        caused=caused_by(claim.cause),
        **values,
    )
