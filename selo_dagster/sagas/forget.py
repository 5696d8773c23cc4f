"""Forgets one memory, and everything that was made of it alone, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, String, Table, delete, insert, literal, null, select, update

from selo_dagster.errors import SeloError
from selo_dagster.memory.episodes import episode_sources, episodes
from selo_dagster.memory.forgotten import digest_of, forgotten_memories
from selo_dagster.memory.learnings import learnings
from selo_dagster.memory.tables import events, memories
from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions, stale_marks
from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.reflections.audits.tables import answer_audits, memory_retirements
from selo_dagster.reflections.claim import RELEASED, RUNNING
from selo_dagster.reflections.heads import versions_locked
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.states import CLAIMED, DEFERRED, DONE, DUE, Reason, waiting_for
from selo_dagster.reflections.tables import (
    mantras,
    reflection_attempts,
    reflection_head_moves,
    reflection_ledger,
    reflection_sources,
    reflections,
)
from selo_dagster.sagas.states import ENDED
from selo_dagster.sagas.tables import saga_steps, sagas
from selo_dagster.store.types import UTCDateTime, database_now
from selo_dagster.store.upsert import insert_missing_from

ledger = reflection_ledger
REQUEST: Final = "forget"
"""Request of obligations that are made again: they are not superseded by later dates."""

FORGOTTEN: Final = "forgotten"
_SHOWN: Final = ("cited", "read")


@dataclass
class Forgotten:
    """What became of what was made of a memory. deleted, changed: rows by table; again: (kind, date) made anew.

    existing: False where it was forgotten before. merged: memories that had been merged into it and are read again.
    evolutions: what it was part of and still moves the persona.
    """

    memory: str
    existing: bool = True
    deleted: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    again: list[tuple[str, str]] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    evolutions: list[str] = field(default_factory=list)


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
    gone = {f"memory:{memory_id}", *(f"reflection:{one}" for one in made)}
    told_by = _journal(connection, user_id, gone | made, memory_id, text, done)
    gone |= _stories(connection, user_id, gone, told_by, done)
    gone |= _goals(connection, user_id, gone, text, done)
    _sentences(connection, learnings.c.content, user_id, gone, text, done)
    _sentences(connection, relationship_questions.c.question, user_id, gone, text, done)
    _evolutions(connection, user_id, gone, done)
    _audits(connection, user_id, memory_id, done)
    _answers(connection, user_id, done)
    _mark_later(connection, user_id, made, digest_of(user_id, memory_id), now, done)
    _reflections(connection, user_id, made, now, actor, done)
    for part in chunked(sorted(gone)):
        _delete(connection, stale_marks, done, stale_marks.c.user_id == user_id, stale_marks.c.derived.in_(part))
    done.merged = list(
        connection.execute(
            select(memory_retirements.c.memory_id)
            .where(memory_retirements.c.merged_into == memory_id)
            .order_by(memory_retirements.c.memory_id)
        ).scalars()
    )
    _delete(connection, events, done, events.c.origin == "memory", events.c.ref == memory_id)
    _delete(connection, memories, done, memories.c.id == memory_id)
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
    _require_none([row.id for row in in_hand if row.lease_until is not None])
    connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


def _require_none(under_way: list[str]) -> None:
    if under_way:
        raise SeloError(
            "under_way",
            f"sagas of this person are under way ({', '.join(under_way[:5])}): let `selo saga run` end them, or "
            "`selo saga cancel` them, and ask again",
        )


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


def _journal(
    connection: Connection, user_id: str, names: set[str], memory_id: str, content: str, done: Forgotten
) -> set[str]:
    """Empty the documents of the sagas that name or quote what goes; returns these sagas. What an undo needs stays."""
    found: set[str] = set()
    steps: dict[str, list[Any]] = {}
    mine = select(saga_steps).join(sagas, sagas.c.id == saga_steps.c.saga_id).where(sagas.c.user_id == user_id)
    for row in connection.execute(mine):
        steps.setdefault(row.saga_id, []).append([row.output, row.undo, row.effects])
    rows = connection.execute(
        select(sagas.c.id, sagas.c.input, sagas.c.key, sagas.c.state).where(sagas.c.user_id == user_id)
    ).all()
    for row in rows:
        if _tells([row.input, row.key, *steps.get(row.id, ())], names, memory_id, content):
            found.add(row.id)
    _require_none([row.id for row in rows if row.id in found and row.state not in ENDED])
    for part in chunked(sorted(found)):
        connection.execute(update(sagas).where(sagas.c.id.in_(part)).values(input={}))
        emptied = connection.execute(
            update(saga_steps).where(saga_steps.c.saga_id.in_(part)).values(output=null(), effects=null())
        )
        done.changed["saga_steps"] += emptied.rowcount
    done.changed["sagas"] += len(found)
    return found


def _tells(value: Any, names: set[str], memory_id: str, content: str) -> bool:
    if isinstance(value, str):
        return value in names or value.partition("/")[0] in names or _quotes(value, content)
    if isinstance(value, Mapping):
        if value.get("source") == "memory" and value.get("id") == memory_id:
            return True
        return any(_tells(one, names, memory_id, content) for one in value.values())
    if isinstance(value, Iterable):
        return any(_tells(one, names, memory_id, content) for one in value)
    return False


def _quotes(text: str, content: str) -> bool:
    return bool(content.strip()) and content in text


def _stories(connection: Connection, user_id: str, gone: set[str], told_by: set[str], done: Forgotten) -> set[str]:
    """Delete the stories that cite what goes, or whose saga was shown it; returns their names."""
    cited = {
        row.episode_id
        for row in connection.execute(
            select(episode_sources)
            .join(episodes, episodes.c.id == episode_sources.c.episode_id)
            .where(episodes.c.user_id == user_id)
        )
        if f"{row.source}:{row.source_id}" in gone
    }
    for row in connection.execute(select(episodes.c.id, episodes.c.saga_id).where(episodes.c.user_id == user_id)):
        if row.saga_id in told_by:
            cited.add(row.id)
    for part in chunked(sorted(cited)):
        _delete(connection, episodes, done, episodes.c.id.in_(part))
    return {f"episode:{one}" for one in cited}


def _goals(connection: Connection, user_id: str, gone: set[str], content: str, done: Forgotten) -> set[str]:
    """Delete the goals that only what goes has asked for, or that quote it; returns their names."""
    deleted: set[str] = set()
    steps: dict[str, str] = {}
    for row in connection.execute(
        select(goal_steps).join(goals, goals.c.id == goal_steps.c.goal_id).where(goals.c.user_id == user_id)
    ):
        steps[row.goal_id] = f"{steps.get(row.goal_id, '')}\n{row.description}"
    for row in connection.execute(select(goals).where(goals.c.user_id == user_id)).all():
        origins = [row.origin, *row.evidence]
        left = [one for one in origins if one not in gone]
        if not left or _quotes(f"{row.title}\n{row.description}{steps.get(row.id, '')}", content):
            _delete(connection, goals, done, goals.c.id == row.id)
            deleted.add(f"goal:{row.id}")
        elif left != origins:
            connection.execute(update(goals).where(goals.c.id == row.id).values(origin=left[0], evidence=left[1:]))
            done.changed["goals"] += 1
    return deleted


def _sentences(
    connection: Connection, says: Column[str], user_id: str, gone: set[str], content: str, done: Forgotten
) -> None:
    """Delete the rows of which all evidence is gone, or that quote it; others lose the evidence and its quotes."""
    table = says.table
    chosen = select(table.c.id, table.c.evidence, table.c.citations, says.label("says")).where(
        table.c.user_id == user_id
    )
    for row in connection.execute(chosen).all():
        left = [one for one in row.evidence if one not in gone]
        if not left or _quotes(row.says, content):
            _delete(connection, table, done, table.c.id == row.id)
        elif left != row.evidence:
            quotes = None if row.citations is None else [one for one in row.citations if one["source"] not in gone]
            connection.execute(update(table).where(table.c.id == row.id).values(evidence=left, citations=quotes))
            done.changed[table.name] += 1


def _evolutions(connection: Connection, user_id: str, gone: set[str], done: Forgotten) -> None:
    """Take the words out of the evolutions that come from what goes; the numbers stay, and who they are is told."""
    for row in connection.execute(select(persona_evolutions).where(persona_evolutions.c.user_id == user_id)).all():
        left = [one for one in row.evidence if one not in gone]
        if row.source not in gone and left == row.evidence:
            continue
        connection.execute(update(persona_evolutions).where(persona_evolutions.c.id == row.id).values(evidence=left))
        connection.execute(update(persona_changes).where(persona_changes.c.evolution_id == row.id).values(reason=""))
        done.changed["persona_evolutions"] += 1
        if row.state == "applied":
            done.evolutions.append(row.id)


def _audits(connection: Connection, user_id: str, memory_id: str, done: Forgotten) -> None:
    for row in connection.execute(select(answer_audits).where(answer_audits.c.user_id == user_id)).all():
        left = [one for one in row.merges if memory_id not in (one["keep"], *one["retire"])]
        if left != row.merges:
            connection.execute(update(answer_audits).where(answer_audits.c.id == row.id).values(merges=left))
            done.changed["answer_audits"] += 1


def _answers(connection: Connection, user_id: str, done: Forgotten) -> None:
    """Drop the rejected answers of a person: nobody knows what each of them says."""
    theirs = select(ledger.c.id).where(ledger.c.user_id == user_id)
    dropped = connection.execute(
        update(reflection_attempts)
        .where(reflection_attempts.c.ledger_id.in_(theirs), reflection_attempts.c.answer.is_not(None))
        .values(answer=None)
    )
    done.changed["reflection_attempts"] += dropped.rowcount


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
    for part in chunked(sorted(made)):
        chosen = select(reflections.c.id, reflections.c.kind, reflections.c.key, reflections.c.head)
        for row in connection.execute(chosen.where(reflections.c.id.in_(part))):
            touched.setdefault((row.kind, row.key), None)
            if row.head:
                touched[row.kind, row.key] = row.id
        lines = select(mantras.c.on).where(mantras.c.reflection_id.in_(part), mantras.c.user_id == user_id)
        dates |= {on.isoformat() for on in connection.execute(lines).scalars()}
    for part in chunked(sorted(made)):
        _delete(connection, mantras, done, mantras.c.reflection_id.in_(part))
        _delete(connection, reflections, done, reflections.c.id.in_(part))
    for (kind, key), held in sorted(touched.items()):
        left = versions_locked(connection, user_id, kind, key)
        if not left:
            _make_again(connection, user_id, kind, key, now, done)
            continue
        # Whatever was held back may be gone; what holds is done.
        connection.execute(
            update(ledger)
            .where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key == key)
            .where(ledger.c.reason == Reason.LOSS_GUARD)
            .values(state=DONE, reason=None)
        )
        if held is not None:
            _stand_in(connection, user_id, kind, key, (held, left[-1].id), actor, now)
    kept = {
        on.isoformat() for on in connection.execute(select(mantras.c.on).where(mantras.c.user_id == user_id)).scalars()
    }
    for key in sorted(dates - kept):
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
    after = getattr(KINDS[kind].cadence, "after", None) if kind in KINDS else None
    waits = {"state": DEFERRED, "reason": waiting_for(after.name), "ready_at": None} if after else {}
    again = connection.execute(
        update(ledger)
        .where(ledger.c.user_id == user_id, ledger.c.kind == kind, ledger.c.key == key)
        .values(
            **{"state": DUE, "reason": None, "ready_at": now} | waits,
            codes=None,
            request_id=REQUEST,
            version=ledger.c.version + 1,
            evolve=False,
            settled_at=None,
            reported_by=None,
            reflection_id=None,
            lost=0,
            forgiven=ledger.c.attempts,
        )
    )
    if again.rowcount:
        done.again.append((kind, key))


def _delete(connection: Connection, table: Table, done: Forgotten, *conditions: Any) -> None:
    done.deleted[table.name] += connection.execute(delete(table).where(*conditions)).rowcount
