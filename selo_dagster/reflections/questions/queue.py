"""The question queue: what is put into it, what is asked next, and how a question leaves it unanswered.

Every function works inside its caller's transaction. Instants are aware and in UTC, by the domain's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from selo_dagster.errors import SeloError
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.reflections.questions.states import (
    ANSWERED,
    DELIVERED,
    EXPIRED,
    OPEN,
    PENDING,
    SKIPPED,
)
from selo_dagster.reflections.questions.tables import relationship_questions

questions = relationship_questions

MAX_A_NIGHT: Final = 3
"""Questions that may be opened for a person in one night: the predecessor's."""

OPEN_AT_MOST: Final = 10
"""Pending and delivered questions of a person: the predecessor's."""

EXPIRES_AFTER_DAYS: Final = 60
"""Days after it became available that a question nobody asked is still worth asking: the predecessor's."""

DELIVERED_EXPIRES_AFTER_DAYS: Final = 14
"""Days that a question waits for its answer once it was asked: the predecessor's."""

ASKED_AGAIN_AFTER_DAYS: Final = 180
"""Days for which a closed question counts as asked: the predecessor's."""


@dataclass(frozen=True)
class Question:
    """A question that is being asked. priority: 1 (most urgent) to 5; on: the local date that it came from."""

    id: str
    user_id: str
    question: str
    topic: str
    priority: int
    on: date
    available_at: datetime
    expires_at: datetime
    delivered_at: datetime
    evidence: tuple[str, ...]


def room(connection: Connection, user_ids: Sequence[str], now: datetime) -> dict[str, int]:
    """Return how many more questions may be opened for each person: 0 to MAX_A_NIGHT."""
    taken: dict[str, int] = {}
    for part in chunked(user_ids):
        taken |= {
            row.user_id: row.open
            for row in connection.execute(
                select(questions.c.user_id, func.count().label("open"))
                .where(questions.c.user_id.in_(part), questions.c.state.in_(OPEN), ~_overdue(now))
                .group_by(questions.c.user_id)
            )
        }
    return {user_id: max(0, min(MAX_A_NIGHT, OPEN_AT_MOST - taken.get(user_id, 0))) for user_id in user_ids}


def known(connection: Connection, user_ids: Sequence[str], now: datetime) -> dict[str, list[str]]:
    """Return the questions that each person need not be asked: open or closed not long ago. Newest first."""
    found: dict[str, list[str]] = {user_id: [] for user_id in user_ids}
    asked_since = now - timedelta(days=ASKED_AGAIN_AFTER_DAYS)
    for part in chunked(user_ids):
        for row in connection.execute(
            select(questions.c.user_id, questions.c.question)
            .where(
                questions.c.user_id.in_(part),
                or_(questions.c.state.in_(OPEN), questions.c.closed_at > asked_since),
            )
            .order_by(questions.c.created_at.desc(), questions.c.id.desc())
        ):
            found[row.user_id].append(row.question)
    return found


def expire(connection: Connection, now: datetime, user_ids: Sequence[str] | None = None) -> int:
    """Close what nobody asked or answered in time, of these people or of everybody; returns how many."""
    if user_ids is None:
        return _expire(connection, now, _overdue(now))
    return sum(
        _expire(connection, now, and_(questions.c.user_id.in_(part), _overdue(now))) for part in chunked(user_ids)
    )


def _expire(connection: Connection, now: datetime, chosen: ColumnElement[bool]) -> int:
    # Locked in one order and without waiting: two sweeps at the same time share the rows.
    rows = select(questions.c.id).where(chosen).order_by(questions.c.id).with_for_update(skip_locked=True)
    return connection.execute(
        update(questions).where(questions.c.id.in_(rows)).values(state=EXPIRED, closed_at=now)
    ).rowcount


def _overdue(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(questions.c.state == PENDING, questions.c.expires_at <= now),
        and_(
            questions.c.state == DELIVERED,
            questions.c.delivered_at <= now - timedelta(days=DELIVERED_EXPIRES_AFTER_DAYS),
        ),
    )


def next_question(connection: Connection, user_id: str, now: datetime) -> Question | None:
    """Return what to ask a person now, and mark it as delivered. None: nothing is to be asked.

    One that was delivered and still waits for its answer is returned again, so that a second never piles up. Several
    callers at the same moment take turns at the person's row, and get the same question.
    """
    connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
    expire(connection, now, [user_id])
    standing = connection.execute(
        select(questions)
        .where(questions.c.user_id == user_id, questions.c.state == DELIVERED)
        .order_by(questions.c.delivered_at, questions.c.id)
        .limit(1)
    ).one_or_none()
    if standing is not None:
        return _question(standing, standing.delivered_at)
    head = (
        select(questions)
        .where(questions.c.user_id == user_id, questions.c.state == PENDING, questions.c.available_at <= now)
        .order_by(questions.c.priority, questions.c.available_at, questions.c.id)
        .limit(1)
    )
    # One that is answered or skipped at this moment is pending no more: the one behind it is asked instead.
    while (row := connection.execute(head).one_or_none()) is not None:
        delivered = connection.execute(
            update(questions)
            .where(questions.c.id == row.id, questions.c.state == PENDING)
            .values(state=DELIVERED, delivered_at=now)
        )
        if delivered.rowcount:
            return _question(row, now)
    return None


def _question(row: Any, delivered_at: datetime) -> Question:
    return Question(
        id=row.id,
        user_id=row.user_id,
        question=row.question,
        topic=row.topic,
        priority=row.priority,
        on=row.on,
        available_at=row.available_at,
        expires_at=row.expires_at,
        delivered_at=delivered_at,
        evidence=tuple(row.evidence),
    )


def skip(connection: Connection, question_id: str, now: datetime) -> bool:
    """Close a question that is not to be asked. False: it was skipped already.

    Raises SeloError `unknown_question`, `already_answered`, or `question_closed` if it expired.
    """
    row = locked(connection, question_id)
    if row.state == SKIPPED:
        return False
    if row.state == ANSWERED:
        raise SeloError("already_answered", f"question {question_id!r} was answered already")
    if row.state == EXPIRED:
        raise closed(question_id, row.state)
    connection.execute(update(questions).where(questions.c.id == question_id).values(state=SKIPPED, closed_at=now))
    return True


def locked(connection: Connection, question_id: str) -> Any:
    """Return a question's row, kept from others until the transaction ends. Raises SeloError `unknown_question`."""
    row = connection.execute(select(questions).where(questions.c.id == question_id).with_for_update()).one_or_none()
    if row is None:
        raise SeloError("unknown_question", f"there is no question {question_id[:80]!r}")
    return row


def closed(question_id: str, state: str) -> SeloError:
    """Return the error that a question left the queue."""
    return SeloError("question_closed", f"question {question_id!r} is closed: it was {state}")


def listed(connection: Connection, user_id: str, *, all_states: bool = False, limit: int) -> list[dict[str, Any]]:
    """Return a person's open questions in the order of asking, ready for JSON; all_states: then the closed ones.

    answer: the id of the memory that answers it.
    """
    chosen = [] if all_states else [questions.c.state.in_(OPEN)]
    rows = connection.execute(
        select(questions)
        .where(questions.c.user_id == user_id, *chosen)
        .order_by(
            questions.c.closed_at.is_not(None),
            questions.c.closed_at.desc(),
            questions.c.state != DELIVERED,
            questions.c.priority,
            questions.c.available_at,
            questions.c.id,
        )
        .limit(limit)
    )
    shown = ("id", "question", "topic", "priority", "state", "on")
    instants = ("available_at", "expires_at", "delivered_at", "closed_at")
    return [
        {name: getattr(row, name) for name in (*shown, *instants, "evidence", "tainted")}
        | {"citations": row.citations or [], "answer": row.answer_id}
        for row in rows
    ]
