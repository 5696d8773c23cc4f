"""Puts into the queue what of a night's questions is new: not asked before, and not answered by what is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from selo_dagster.memory.tables import memories
from selo_dagster.reflections.questions.answering import RELATIONSHIP_ANSWER
from selo_dagster.reflections.questions.draft import Draft, normalised
from selo_dagster.reflections.questions.likeness import (
    COMPARED_CHARACTERS,
    FEWEST_WORDS,
    content_words,
    same_question,
    words_answered_by,
)
from selo_dagster.reflections.questions.queue import EXPIRES_AFTER_DAYS, MAX_A_NIGHT, known, questions, room
from selo_dagster.reflections.questions.states import PENDING

ANSWERS_READ: Final = 500
"""The newest answers of a person that a question is compared with."""

MEMORIES_READ: Final = 200
"""Other memories that a question is compared with: the most important, the newest of equals."""


def enqueue(
    connection: Connection,
    *,
    user_id: str,
    ledger_id: int | None,
    on: date,
    drafts: Sequence[Draft],
    model: str,
    now: datetime,
    new_id: Callable[[], str],
    tainted: bool = False,
) -> list[str]:
    """Insert those of `drafts` that are new, the most urgent first, as many as there is room for; returns their ids.

    on: the local date of the reflection; a night is what comes from one date, however often it is repeated.
    Each becomes available its delay after `now`, or as many days later as keep the night's questions on days of
    their own; the predecessor counted each from now only, so that all of a night could come on one day.
    """
    asked = sorted((one for one in map(normalised, drafts) if one.question), key=lambda one: one.priority)
    if not asked:
        return []
    tonight = _tonight(connection, user_id, on)
    left = min(room(connection, [user_id], now)[user_id], MAX_A_NIGHT - len(tonight))
    if left <= 0:
        return []
    new = _unanswered(connection, user_id, _unasked(asked, known(connection, [user_id], now)[user_id]))[:left]
    days = {available_at.date() for available_at in tonight}
    rows = []
    for draft in new:
        available_at = now + timedelta(days=draft.delay_days)
        while available_at.date() in days:
            available_at += timedelta(days=1)
        days.add(available_at.date())
        rows.append(_row(draft, available_at) | {"id": new_id()})
    if rows:
        shared = {
            "user_id": user_id,
            "ledger_id": ledger_id,
            "on": on,
            "model": model,
            "tainted": tainted,
            "created_at": now,
        }
        connection.execute(insert(questions), [row | shared for row in rows])
    return [row["id"] for row in rows]


def _row(draft: Draft, available_at: datetime) -> dict[str, Any]:
    return {
        "question": draft.question,
        "topic": draft.topic,
        "priority": draft.priority,
        "evidence": list(draft.evidence),
        "citations": [passage.under(name) for name, passage in draft.citations],
        "state": PENDING,
        "available_at": available_at,
        "expires_at": available_at + timedelta(days=EXPIRES_AFTER_DAYS),
    }


def _tonight(connection: Connection, user_id: str, on: date) -> list[datetime]:
    rows = select(questions.c.available_at).where(questions.c.user_id == user_id, questions.c.on == on)
    return list(connection.execute(rows).scalars())


def _unasked(drafts: Iterable[Draft], asked: Iterable[str]) -> list[Draft]:
    before = list(asked)
    found: list[Draft] = []
    for draft in drafts:
        if not any(same_question(draft.question, other) for other in before):
            found.append(draft)
            before.append(draft.question)
    return found


def _unanswered(connection: Connection, user_id: str, drafts: list[Draft]) -> list[Draft]:
    wanted = {draft: frozenset(content_words(draft.question)) for draft in drafts}
    if any(len(words) >= FEWEST_WORDS for words in wanted.values()):
        for name, text in _remembered(connection, user_id):
            said = frozenset(content_words(text))
            # What a question rests on is where it comes from, not its answer.
            wanted = {
                draft: words
                for draft, words in wanted.items()
                if name in draft.evidence or not words_answered_by(words, said)
            }
    return list(wanted)


def _remembered(connection: Connection, user_id: str) -> list[tuple[str, str]]:
    text = func.substr(memories.c.content, 1, COMPARED_CHARACTERS).label("text")
    theirs = select(memories.c.id, text).where(memories.c.user_id == user_id)
    newest = (memories.c.at.desc(), memories.c.id.desc())
    answers = theirs.where(memories.c.kind == RELATIONSHIP_ANSWER).order_by(*newest).limit(ANSWERS_READ)
    others = (
        theirs.where(memories.c.kind != RELATIONSHIP_ANSWER)
        .order_by(memories.c.importance.desc(), *newest)
        .limit(MEMORIES_READ)
    )
    rows = (row for statement in (answers, others) for row in connection.execute(statement))
    return [(f"memory:{row.id}", row.text) for row in rows]
