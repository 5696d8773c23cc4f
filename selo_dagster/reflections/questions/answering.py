"""Takes in what a person answered: a memory like any other, which the question then points to."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from selo_dagster.clock import UTC
from selo_dagster.errors import SeloError
from selo_dagster.memory.lines import MemoryLine, parse_line
from selo_dagster.memory.reading import LINE_LIMIT
from selo_dagster.memory.tables import memories
from selo_dagster.reflections.questions.queue import closed, locked, questions
from selo_dagster.reflections.questions.states import ANSWERED, OPEN

RELATIONSHIP_ANSWER: Final = "relationship_answer"
"""The kind of the memories that answers become: the predecessor's."""


def answer(
    connection: Connection,
    question_id: str,
    now: datetime,
    *,
    text: str | None = None,
    memory_id: str | None = None,
) -> str:
    """Close a question with what was answered; returns the id of the memory that holds it.

    Exactly one of text, which becomes a memory of its own, and memory_id, one of the same person that is there.
    The same answer given again changes nothing. A question may be answered before it was asked, and until it was
    swept out, also after its time.

    Raises SeloError `unknown_question`, `question_closed` (expired or skipped), `already_answered` (otherwise than
    now), `unknown_memory` (none, or somebody else's), `conflict`, or what ingest says of a text that it does not
    take: `empty`, `bad_text`, `too_long`. Raises ValueError for both or none of text and memory_id.
    """
    if (text is None) == (memory_id is None):
        raise ValueError("an answer is either a text or a memory")
    row = locked(connection, question_id)
    line = None if text is None else _line(row, text, now)
    if row.state == ANSWERED:
        if not _same(connection, row.answer_id, line, memory_id):
            raise SeloError("already_answered", f"question {question_id!r} was answered otherwise already")
        return str(row.answer_id)
    if row.state not in OPEN:
        raise closed(question_id, row.state)
    if line is not None:
        answer_id = _remember(connection, row, line, now)
    else:
        answer_id = _theirs(connection, row.user_id, str(memory_id))
    connection.execute(
        update(questions)
        .where(questions.c.id == question_id)
        .values(state=ANSWERED, answer_id=answer_id, closed_at=now)
    )
    return answer_id


def weight(earlier: int) -> tuple[float, float]:
    """Return (importance, confidence), 0 to 1, of an answer after `earlier` ones on its topic: the predecessor's."""
    if not earlier:
        return 0.8, 0.8
    # Rounded: 0.7 - 0.2 is not 0.5 in binary.
    return round(max(0.4, 0.7 - 0.1 * earlier), 2), round(max(0.5, 0.8 - 0.1 * earlier), 2)


def _line(row: Any, text: str, now: datetime) -> MemoryLine:
    if len(text) > LINE_LIMIT or len(text.encode(errors="replace")) > LINE_LIMIT:
        raise SeloError("too_long", f"an answer must be at most {LINE_LIMIT // 1024} KiB")
    # The rules of ingest. The person is there already, under whatever id: only what is new is put to them.
    line = parse_line(
        {
            "type": "memory",
            "id": f"answer-{row.id}",
            "user": "person",
            "kind": RELATIONSHIP_ANSWER,
            "content": text,
            "importance": 0,
            "at": now.astimezone(UTC).isoformat(),
            "tags": [row.topic],
        }
    )
    assert isinstance(line, MemoryLine)  # noqa: S101 - says the type
    return line


def _same(connection: Connection, answer_id: str | None, line: MemoryLine | None, memory_id: str | None) -> bool:
    if answer_id is None:
        return False  # what was answered has been erased since
    if line is None:
        return answer_id == memory_id
    said = connection.execute(select(memories.c.content).where(memories.c.id == answer_id)).scalar()
    return said == line.content


def _remember(connection: Connection, row: Any, line: MemoryLine, now: datetime) -> str:
    there = connection.execute(
        select(memories.c.user_id, memories.c.content).where(memories.c.id == line.id)
    ).one_or_none()
    if there is not None:
        if (there.user_id, there.content) != (row.user_id, line.content):
            raise SeloError("conflict", f"memory {line.id!r} is there already with other content")
        return line.id
    importance, confidence = weight(_earlier(connection, row.user_id, row.topic))
    connection.execute(
        insert(memories).values(
            id=line.id,
            user_id=row.user_id,
            kind=line.kind,
            content=line.content,
            importance=importance,
            confidence=confidence,
            at=now,
            tags=line.tags,
        )
    )
    return line.id


def _earlier(connection: Connection, user_id: str, topic: str) -> int:
    found = connection.execute(
        select(func.count()).where(
            questions.c.user_id == user_id, questions.c.topic == topic, questions.c.state == ANSWERED
        )
    ).scalar_one()
    return int(found)


def _theirs(connection: Connection, user_id: str, memory_id: str) -> str:
    found = connection.execute(
        select(memories.c.id).where(memories.c.id == memory_id, memories.c.user_id == user_id)
    ).scalar()
    if found is None:
        raise SeloError("unknown_memory", f"{user_id} has no memory {memory_id[:80]!r}")
    return str(found)
