"""Reads from the event stream which conversations have ended, and asks for what is to be made of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, exists, select

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import CONVERSATION_ENDED, EVENT_TYPES
from selo_dagster.memory.stream import (
    COLUMNS,
    NUMBERING,
    StreamEvent,
    lock_stream,
    position,
    read_after,
    set_position,
)
from selo_dagster.memory.tables import conversations, events
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import ACTIVE, users
from selo_dagster.reflections.days import READER as DAYS_READER
from selo_dagster.reflections.days import fold_stream
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.registry import Registry
from selo_dagster.sagas.start import LONGEST_KEY, random_id, start
from selo_dagster.store.engine import Store
from selo_dagster.triggers.parked import PARKED, REPLAYED, Fault, park, parked, settle_parked

READER: Final = "conversations"
READS: Final = frozenset({CONVERSATION_ENDED})
"""The events that this reader makes something of."""

TYPE: Final = "conversation_processing"
AT_ONCE: Final = 200
"""Ended conversations in one transaction."""

ABSENT: Final = "unknown_conversation"
_STATED: Final = "event"


def start_ended(
    store: Store,
    registry: Registry,
    now: datetime,
    *,
    budget_s: float = float("inf"),
    new_id: Callable[[], str] = random_id,
    batch: int = AT_ONCE,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Ask for the processing of every conversation that was stated to have ended; returns how many are new.

    How far it has come is in the database, in the transaction of the sagas: an event starts once, and another end of
    the same conversation starts again. An event that cannot be read, or names a conversation that is not this
    person's, is parked; one that only came before its conversation is started as soon as that is there. budget_s:
    begin no further batch after so many seconds; the next look goes on.
    """
    ends = monotonic() + budget_s
    saga = registry.newest.get(TYPE)
    if saga is None or not _anything_to_read(store):
        return 0
    fold_stream(store)
    asked, more = 0, True
    while more:
        with store.write() as connection:
            lock_stream(connection)
            # Only what was made into days already, as for every reader behind that one.
            done, upto = position(connection, READER), position(connection, DAYS_READER)
            found = read_after(connection, done, batch, upto=upto, event=CONVERSATION_ENDED)
            started, faults = _start(connection, saga, found, now, new_id)
            park(connection, faults, now)
            asked += started
            more = len(found) == batch
            set_position(connection, READER, found[-1].seq if more else max(done, upto))
        if monotonic() >= ends:
            return asked
    with store.write() as connection:
        lock_stream(connection)
        return asked + _start_parked(connection, saga, now, new_id)


def _anything_to_read(store: Store) -> bool:
    """Tell whether there is something new, or something put aside: nearly every look ends here, without a write."""
    with store.read() as connection:
        return bool(
            position(connection, NUMBERING) > position(connection, READER)
            or connection.execute(select(exists().where(events.c.seq.is_(None)))).scalar()
            or connection.execute(_come_since().limit(1)).first()
        )


def _start(
    connection: Connection,
    saga: Saga,
    found: Sequence[StreamEvent],
    now: datetime,
    new_id: Callable[[], str],
) -> tuple[int, list[Fault]]:
    """Ask for the sagas of these events; returns how many are new, and what is wrong with the other events."""
    stated = [event for event in found if event.origin == _STATED]
    active = _active(connection, {event.user_id for event in stated})
    ended: list[tuple[StreamEvent, str]] = []
    faults: list[Fault] = []
    for event in stated:
        if event.user_id not in active:
            continue
        try:
            payload = EVENT_TYPES[CONVERSATION_ENDED].checked(event.payload)
        except SeloError as refused:
            faults.append(Fault.of(event, f"{refused.code}: {refused.message}", [READER]))
        else:
            ended.append((event, str(payload.conversation)))  # type: ignore[attr-defined]
    owners = _owners(connection, {conversation for _, conversation in ended})
    started = 0
    for event, conversation in ended:
        owner = owners.get(conversation)
        if owner != event.user_id:
            code = ABSENT if owner is None else "conflict: the conversation is another person's"
            faults.append(Fault.of(event, code, [READER]))
            continue
        try:
            asked = start(
                connection,
                saga,
                user_id=event.user_id,
                key=_key(conversation, event.ref),
                given={"conversation": conversation},
                now=now,
                new_id=new_id,
            )
        except SeloError as refused:
            if refused.code == "unknown_user":
                # Erased since we looked.
                continue
            if refused.code != "bad_input":
                raise
            faults.append(Fault.of(event, f"{refused.code}: {refused.message}", [READER]))
        else:
            started += not asked.existing
    return started, faults


def _active(connection: Connection, user_ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for part in chunked(sorted(user_ids)):
        found.update(
            connection.execute(select(users.c.id).where(users.c.id.in_(part), users.c.state == ACTIVE)).scalars()
        )
    return found


def _owners(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunked(sorted(ids)):
        rows = connection.execute(
            select(conversations.c.id, conversations.c.user_id).where(conversations.c.id.in_(part))
        )
        found.update({row.id: row.user_id for row in rows})
    return found


def _key(conversation: str, ref: str) -> str:
    key = f"{conversation}/{ref}"
    if len(key) <= LONGEST_KEY and key.isprintable():
        return key
    return hashlib.sha256(key.encode()).hexdigest()


def _start_parked(connection: Connection, saga: Saga, now: datetime, new_id: Callable[[], str]) -> int:
    """Ask for what was parked because the conversation was not there, where it is there by now."""
    seqs = list(connection.execute(_come_since().limit(AT_ONCE)).scalars())
    if not seqs:
        return 0
    rows = connection.execute(select(*COLUMNS).where(events.c.seq.in_(seqs)).order_by(events.c.seq))
    started, faults = _start(connection, saga, [StreamEvent(*row) for row in rows], now, new_id)
    settle_parked(connection, sorted(set(seqs) - {one.seq for one in faults}), REPLAYED, now)
    park(connection, faults, now)
    return started


def _come_since() -> Select[Any]:
    """Return the SELECT of the parked events whose conversation has come since, by their numbers."""
    return (
        select(parked.c.seq)
        .join(events, events.c.seq == parked.c.seq)
        .join(conversations, conversations.c.id == events.c.payload["conversation"].as_string())
        .where(parked.c.state == PARKED, parked.c.type == CONVERSATION_ENDED, parked.c.code == ABSENT)
        .order_by(parked.c.seq)
    )
