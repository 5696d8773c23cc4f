"""A conversation's summary: written over as a new version, and put back only while it is still this saga's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, delete, insert, select, update

from selo_dagster.memory.summaries import conversation_summaries as table
from selo_dagster.sagas.asking import LONGEST_MODEL
from selo_dagster.sagas.given import Given
from selo_dagster.sagas.handed import Handed
from selo_dagster.sagas.states import COMPENSATE
from selo_dagster.sagas.tables import saga_steps, sagas

STEP: Final = "keep_summary"
"""The step that writes summaries, in whichever saga: by it, what a summary had replaced is found again."""


class Former(Handed):
    """A summary as it was before, and the saga that had written it."""

    summary: str
    topics: list[str]
    messages: int
    version: int
    saga_id: str
    model: str
    tainted: bool = False
    at: datetime


class Written(Handed):
    """The version that a saga wrote, and the one before it; None: there was none."""

    conversation: str
    version: int
    before: Former | None


def write_summary(
    given: Given, conversation: str, *, summary: str, topics: Sequence[str], messages: int, model: str, tainted: bool
) -> Written:
    """Write a summary as the next version; returns what its undo needs. messages: how many it covers."""
    before = _there(given.connection, conversation)
    version = 1 if before is None else before.version + 1
    values = {
        "summary": summary,
        "topics": list(topics),
        "messages": messages,
        "version": version,
        "saga_id": given.saga_id,
        "model": model[:LONGEST_MODEL],
        "tainted": tainted,
        "at": given.now,
    }
    if before is None:
        given.connection.execute(insert(table).values(conversation_id=conversation, user_id=given.user_id, **values))
    else:
        given.connection.execute(update(table).where(table.c.conversation_id == conversation).values(**values))
    return Written(conversation=conversation, version=version, before=before)


def put_summary_back(given: Given, written: Written) -> None:
    """Put the former summary back, or none where there was none. A later version stays: it is not this saga's.

    A former one that was itself taken back meanwhile is passed over for the one before it.
    """
    mine = and_(
        table.c.conversation_id == written.conversation,
        table.c.version == written.version,
        table.c.saga_id == given.saga_id,
    )
    former = _still_good(given.connection, written)
    if former is None:
        given.connection.execute(delete(table).where(mine))
        return
    given.connection.execute(update(table).where(mine).values(**former.model_dump()))


def _there(connection: Connection, conversation: str) -> Former | None:
    row = (
        connection.execute(
            select(*(table.c[name] for name in Former.model_fields))
            .where(table.c.conversation_id == conversation)
            .with_for_update()
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Former.model_validate(dict(row))


def _still_good(connection: Connection, written: Written) -> Former | None:
    seen: set[str] = set()
    former = written.before
    while former is not None and former.saga_id not in seen and _taken_back(connection, former.saga_id):
        seen.add(former.saga_id)
        former = _before(connection, former)
    return None if former is None or former.saga_id in seen else former


def _taken_back(connection: Connection, saga_id: str) -> bool:
    return connection.execute(select(sagas.c.direction).where(sagas.c.id == saga_id)).scalar() == COMPENSATE


def _before(connection: Connection, former: Former) -> Former | None:
    """Return what a summary had replaced, as the saga that wrote it remembers."""
    kept = connection.execute(
        select(saga_steps.c.undo)
        .where(saga_steps.c.saga_id == former.saga_id, saga_steps.c.step == STEP, saga_steps.c.undo.is_not(None))
        .order_by(saga_steps.c.generation.desc())
    ).scalars()
    written = (Written.model_validate(one) for one in kept)
    return next((one.before for one in written if one.version == former.version), None)
