"""Forgets one memory, and everything that was made of it alone, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, String, insert, literal, select, update

from selo_dagster.errors import SeloError
from selo_dagster.memory.episodes import episodes
from selo_dagster.memory.forgotten import digest_of, forgotten_memories
from selo_dagster.memory.tables import events, memories
from selo_dagster.people.evolution_tables import stale_marks
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.reflections.activity.cadence import first_read, move_back
from selo_dagster.reflections.audits.tables import memory_retirements
from selo_dagster.reflections.cadences.by_activity import OPEN, ByActivity
from selo_dagster.reflections.cadences.latest import Latest
from selo_dagster.reflections.claim import RELEASED, RUNNING
from selo_dagster.reflections.heads import left_without
from selo_dagster.reflections.kind import Cadence
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DONE, DUE, SKIPPED, Reason, waiting_for
from selo_dagster.reflections.tables import (
    mantras,
    reflection_attempts,
    reflection_head_moves,
    reflection_ledger,
    reflection_sources,
    reflections,
)
from selo_dagster.sagas.forgotten import Forgotten, delete_rows, forget_words, require_none
from selo_dagster.sagas.states import ENDED
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.types import UTCDateTime, database_now
from selo_dagster.store.upsert import insert_missing_from

ledger = reflection_ledger
REQUEST: Final = "forget"
"""Request of obligations that are made again: they are not superseded by later dates."""

FORGOTTEN: Final = "forgotten"
_SHOWN: Final = ("cited", "read")


def forget(
    connection: Connection, user_id: str, memory_id: str, *, actor: str, because: str, now: datetime
) -> Forgotten:
    """Delete a memory, what rests on it alone, and every text that may say it; the caller commits.

    A sentence with sources of its own (a learning, a question, a goal with what asked for it) goes if this was the
    last of them. A text whose sentences have none (of a reflection, a mantra, a story) goes if it was made with the
    memory before it; the first two are made anew from what is left. What was made later is marked stale.

    Raises SeloError `unknown_memory`, and `under_way` while a saga works on the person or has such a text in hand.
    """
    done = Forgotten(memory_id)
    if _content(connection, user_id, memory_id) is None:
        _require_forgotten(connection, user_id, memory_id)
        done.existing = False
        return done
    _hold_still(connection, user_id, done)
    text = _content(connection, user_id, memory_id)
    if text is None:
        # Somebody else was quicker.
        done.existing = False
        return done
    made = _made_with(connection, user_id, memory_id)
    gone = forget_words(connection, user_id, memory_id, text, made, done)
    _mark_later(connection, user_id, made, digest_of(user_id, memory_id), now, done)
    delete_rows(connection, events, done, events.c.origin == "memory", events.c.ref == memory_id)
    _reflections(connection, user_id, made, now, actor, done)
    for part in chunked(sorted(gone)):
        delete_rows(connection, stale_marks, done, stale_marks.c.user_id == user_id, stale_marks.c.derived.in_(part))
    done.merged = list(
        connection.execute(
            select(memory_retirements.c.memory_id)
            .where(memory_retirements.c.merged_into == memory_id)
            .order_by(memory_retirements.c.memory_id)
        ).scalars()
    )
    delete_rows(connection, memories, done, memories.c.id == memory_id)
    connection.execute(
        insert(forgotten_memories).values(
            digest=digest_of(user_id, memory_id), user_id=user_id, actor=actor, because=because, at=now
        )
    )
    return done


def _content(connection: Connection, user_id: str, memory_id: str) -> str | None:
    found: str | None = connection.execute(
        select(memories.c.content).where(memories.c.id == memory_id, memories.c.user_id == user_id)
    ).scalar()
    return found


def _hold_still(connection: Connection, user_id: str, done: Forgotten) -> None:
    """Let nobody work on the person until the transaction ends; whoever reflects on them now is fenced."""
    # In the order in which those lock who settle a reflection, or carry out a saga.
    mine = ledger.c.user_id == user_id
    held = list(
        connection.execute(select(ledger.c.id, ledger.c.state).where(mine).order_by(ledger.c.id).with_for_update())
    )
    claimed = [row.id for row in held if row.state == CLAIMED]
    for part in chunked(claimed):
        connection.execute(
            update(reflection_attempts)
            .where(reflection_attempts.c.ledger_id.in_(part), reflection_attempts.c.outcome == RUNNING)
            .values(outcome=RELEASED, ended_at=database_now())
        )
        connection.execute(
            update(ledger)
            .where(ledger.c.id.in_(part))
            .values(state=DUE, ready_at=ledger.c.since, lease_until=None, epoch=ledger.c.epoch + 1)
        )
    done.changed["reflection_ledger"] += len(claimed)
    in_hand = connection.execute(
        select(sagas.c.id, sagas.c.lease_until)
        .where(sagas.c.user_id == user_id, sagas.c.state.not_in(ENDED))
        .order_by(sagas.c.id)
        .with_for_update()
    ).all()
    require_none([row.id for row in in_hand if row.lease_until is not None])
    connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


def _require_forgotten(connection: Connection, user_id: str, memory_id: str) -> None:
    there = forgotten_memories.c.digest == digest_of(user_id, memory_id)
    if connection.execute(select(forgotten_memories.c.digest).where(there)).scalar() is None:
        raise SeloError("unknown_memory", f"there is no memory {memory_id[:80]!r} of this person")


def _made_with(connection: Connection, user_id: str, memory_id: str) -> set[str]:
    """Return every version of a reflection that was shown the memory, or was shown one that was, and so on."""
    found: set[str] = set()
    source, fresh = "memory", {memory_id}
    while fresh:
        shown: set[str] = set()
        for part in chunked(sorted(fresh)):
            shown |= set(
                connection.execute(
                    select(reflections.c.id)
                    .join(reflection_sources, reflection_sources.c.reflection_id == reflections.c.id)
                    .where(
                        reflections.c.user_id == user_id,
                        reflection_sources.c.source == source,
                        reflection_sources.c.source_id.in_(part),
                        reflection_sources.c.use.in_(_SHOWN),
                    )
                ).scalars()
            )
        source, fresh = "reflection", shown - found
        found |= shown
    return found


def _mark_later(
    connection: Connection, user_id: str, made: set[str], digest: str, now: datetime, done: Forgotten
) -> None:
    """Mark what was made since: it was shown former reflections for continuity, and nobody knows what it took up."""
    since = min(
        (
            instant
            for part in chunked(sorted(made))
            for instant in connection.execute(
                select(reflections.c.created_at).where(reflections.c.id.in_(part))
            ).scalars()
        ),
        default=None,
    )
    if since is None:
        return
    for name, table in (("reflection", reflections), ("episode", episodes)):
        later = select(
            table.c.user_id,
            literal(f"{name}:", String).concat(table.c.id).label("derived"),
            literal(f"{FORGOTTEN}:{digest}", String).label("because"),
            literal(now, UTCDateTime).label("marked_at"),
        ).where(table.c.user_id == user_id, table.c.created_at > since)
        columns = ("user_id", "derived", "because", "marked_at")
        done.changed["stale_marks"] += insert_missing_from(connection, stale_marks, columns, later)


def _reflections(
    connection: Connection, user_id: str, made: set[str], now: datetime, actor: str, done: Forgotten
) -> None:
    """Delete these versions; a former one that knew nothing of it holds again, or the date is made anew."""
    touched: dict[tuple[str, str], str | None] = {}
    dates: set[str] = set()
    of_the_stream: list[str] = []
    for part in chunked(sorted(made)):
        chosen = select(reflections.c.id, reflections.c.kind, reflections.c.key, reflections.c.head)
        for row in connection.execute(chosen.where(reflections.c.id.in_(part))):
            touched.setdefault((row.kind, row.key), None)
            if row.head:
                touched[row.kind, row.key] = row.id
            if isinstance(_cadence(row.kind), ByActivity):
                of_the_stream.append(row.id)
        lines = select(mantras.c.on).where(mantras.c.reflection_id.in_(part), mantras.c.user_id == user_id)
        dates |= {on.isoformat() for on in connection.execute(lines).scalars()}
    unread = first_read(connection, user_id, of_the_stream)
    kept = {(kind, key): left_without(connection, user_id, kind, key, made) for kind, key in sorted(touched)}
    for part in chunked(sorted(made)):
        delete_rows(connection, mantras, done, mantras.c.reflection_id.in_(part))
        delete_rows(connection, reflections, done, reflections.c.id.in_(part))
    if unread is not None:
        move_back(connection, user_id, unread)
    for (kind, key), held in sorted(touched.items()):
        left = kept[kind, key]
        if left is None and isinstance(_cadence(kind), ByActivity):
            _read_again(connection, user_id, kind, key, now, done, unread=unread is not None)
            continue
        if left is None:
            _make_again(connection, user_id, kind, key, now, done)
            continue
        if not left.undecided:
            # Whatever was held back is gone, or holds.
            connection.execute(
                update(ledger)
                .where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key == key)
                .where(ledger.c.reason == Reason.LOSS_GUARD)
                .values(state=DONE, reason=None)
            )
        if held is not None:
            _stand_in(connection, user_id, kind, key, (held, left.present), actor, now)
    lines_left = {
        on.isoformat() for on in connection.execute(select(mantras.c.on).where(mantras.c.user_id == user_id)).scalars()
    }
    for key in sorted(dates - lines_left):
        _make_again(connection, user_id, "mantra", key, now, done)


def _stand_in(
    connection: Connection,
    user_id: str,
    kind: str,
    key: str,
    heads: tuple[str, str],
    actor: str,
    now: datetime,
) -> None:
    """Let a version hold that is left. heads: the one that held, and that one."""
    former, present = heads
    connection.execute(update(reflections).where(reflections.c.id == present).values(head=True))
    connection.execute(
        update(ledger)
        .where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key == key)
        .values(reflection_id=present)
    )
    connection.execute(
        insert(reflection_head_moves).values(
            user_id=user_id,
            reflection_id=present,
            former_id=former,
            moved=True,
            reason=FORGOTTEN,
            actor=actor,
            because="a memory was forgotten",
            at=now,
        )
    )


def _make_again(connection: Connection, user_id: str, kind: str, key: str, now: datetime, done: Forgotten) -> None:
    """Let an obligation be made anew from what is left, behind the one that it waits for; it asks for nothing."""
    cadence = _cadence(kind)
    becomes = {"state": DUE, "reason": None, "ready_at": now, "settled_at": None}
    if isinstance(cadence, Latest) and cadence.after is not None:
        becomes |= {"state": DEFERRED, "reason": waiting_for(cadence.after.name), "ready_at": None}
    if _begin_anew(connection, user_id, kind, key, becomes):
        done.again.append((kind, key))


def _read_again(
    connection: Connection, user_id: str, kind: str, key: str, now: datetime, done: Forgotten, *, unread: bool
) -> None:
    """Let what is unread again be read once. unread: whether any of it is left that no daily reads."""
    another = connection.execute(
        select(ledger.c.id)
        .where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key != key, ledger.c.state.in_(OPEN))
        .limit(1)
    ).first()
    if unread and another is None:
        _make_again(connection, user_id, kind, key, now, done)
        return
    nothing = {"state": SKIPPED, "reason": Reason.NOTHING_NEW, "ready_at": None, "settled_at": now}
    _begin_anew(connection, user_id, kind, key, nothing)


def _begin_anew(connection: Connection, user_id: str, kind: str, key: str, becomes: dict[str, Any]) -> bool:
    again = connection.execute(
        update(ledger)
        .where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key == key)
        .values(
            **becomes,
            codes=None,
            request_id=REQUEST,
            version=ledger.c.version + 1,
            evolve=False,
            reported_by=None,
            reflection_id=None,
            lost=0,
            forgiven=ledger.c.attempts,
        )
    )
    return bool(again.rowcount)


def _cadence(kind: str) -> Cadence | None:
    return KINDS[kind].cadence if kind in KINDS else None
