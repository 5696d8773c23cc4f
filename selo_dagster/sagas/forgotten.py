"""What became of what was made of a memory, and the words of it outside of reflections: which go, and which stay."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, null, select, update

from selo_dagster.errors import SeloError
from selo_dagster.llm.quotes import Text, folded
from selo_dagster.memory.episodes import episode_sources, episodes
from selo_dagster.memory.learnings import learnings
from selo_dagster.memory.tables import memories
from selo_dagster.people.evolution_tables import persona_changes, persona_evolutions
from selo_dagster.people.goals import goal_steps, goals
from selo_dagster.people.history import chunked
from selo_dagster.reflections.audits.audit import ANSWER_KIND, WINDOW, tags_of
from selo_dagster.reflections.audits.tables import answer_audits
from selo_dagster.reflections.claim import ledger
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.reflections.tables import reflection_attempts
from selo_dagster.sagas.states import ENDED
from selo_dagster.sagas.tables import saga_steps, sagas

_UNSEEN: Final = re.compile("[\ufe00-\ufe0f\ufffd]")


class _Words:
    """The words of what goes, looked for in many texts."""

    def __init__(self, content: str) -> None:
        self.content = content
        # Nearly every text is told apart by this one, without a closer look.
        self._longest = max(re.findall(r"[^\W_]+", folded(content).text), key=len, default="")

    def repeated_in(self, text: str) -> bool:
        """Tell whether a text repeats them: in their order, and enough of them to say so, or nothing else."""
        if not self._may_stand_in(text):
            return False
        said = Text(text)
        return said.substantial(self.content) and said.find(self.content) is not None

    def _may_stand_in(self, text: str) -> bool:
        if text.isascii():
            return self._longest in text.lower()
        plain = normalize("NFKD", normalize("NFKD", text).casefold())
        # A sign that cannot be seen may part a word.
        unseen = not "".join(plain.split()).isprintable() or _UNSEEN.search(plain)
        return bool(unseen) or self._longest in plain


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


def forget_words(
    connection: Connection, user_id: str, memory_id: str, text: str, made: set[str], done: Forgotten
) -> set[str]:
    """Forget what was made of a memory outside of reflections; returns the names of all that goes.

    made: the reflections that go. Raises SeloError `under_way` while a saga has any of it in hand.
    """
    gone = {f"memory:{memory_id}", *(f"reflection:{one}" for one in made)}
    words = _Words(text)
    told_by = _journal(connection, user_id, gone | made, memory_id, words, done)
    gone |= _stories(connection, user_id, gone, told_by, done)
    gone |= _goals(connection, user_id, gone, words, done)
    _sentences(connection, learnings.c.content, user_id, gone, words, done, learnings.c.source)
    _sentences(connection, relationship_questions.c.question, user_id, gone, words, done)
    _evolutions(connection, user_id, gone, done)
    _audits(connection, user_id, memory_id, done)
    _answers(connection, user_id, done)
    return gone


def require_none(under_way: list[str]) -> None:
    """Raise SeloError `under_way` where there is any saga."""
    if under_way:
        raise SeloError(
            "under_way",
            f"sagas of this person are under way ({', '.join(under_way[:5])}): let `selo saga run` end them, or "
            "`selo saga cancel` them, and ask again",
        )


def _journal(
    connection: Connection, user_id: str, names: set[str], memory_id: str, words: _Words, done: Forgotten
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
        if _tells([row.input, row.key, *steps.get(row.id, ())], names, memory_id, words):
            found.add(row.id)
    require_none([row.id for row in rows if row.id in found and row.state not in ENDED])
    for part in chunked(sorted(found)):
        connection.execute(update(sagas).where(sagas.c.id.in_(part)).values(input={}))
        emptied = connection.execute(
            update(saga_steps).where(saga_steps.c.saga_id.in_(part)).values(output=null(), effects=null())
        )
        done.changed["saga_steps"] += emptied.rowcount
    done.changed["sagas"] += len(found)
    return found


def _tells(value: Any, names: set[str], memory_id: str, words: _Words) -> bool:
    if isinstance(value, str):
        return value in names or value.partition("/")[0] in names or words.repeated_in(value)
    if isinstance(value, Mapping):
        if value.get("source") == "memory" and value.get("id") == memory_id:
            return True
        return any(_tells(one, names, memory_id, words) for one in value.values())
    if isinstance(value, Iterable):
        return any(_tells(one, names, memory_id, words) for one in value)
    return False


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
        delete_rows(connection, episodes, done, episodes.c.id.in_(part))
    return {f"episode:{one}" for one in cited}


def _goals(connection: Connection, user_id: str, gone: set[str], words: _Words, done: Forgotten) -> set[str]:
    """Delete the goals that only what goes has asked for, or that quote it; returns their names."""
    deleted: set[str] = set()
    said: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(
        select(goal_steps).join(goals, goals.c.id == goal_steps.c.goal_id).where(goals.c.user_id == user_id)
    ):
        said[row.goal_id].append(row.description)
    for row in connection.execute(select(goals).where(goals.c.user_id == user_id)).all():
        origins = [row.origin, *row.evidence]
        left = [one for one in origins if one not in gone]
        if not left or any(words.repeated_in(one) for one in (row.title, row.description, *said[row.id])):
            delete_rows(connection, goals, done, goals.c.id == row.id)
            deleted.add(f"goal:{row.id}")
        elif left != origins:
            connection.execute(update(goals).where(goals.c.id == row.id).values(origin=left[0], evidence=left[1:]))
            done.changed["goals"] += 1
    return deleted


def _sentences(
    connection: Connection,
    says: Column[str],
    user_id: str,
    gone: set[str],
    words: _Words,
    done: Forgotten,
    source: ColumnElement[Any] = null(),  # noqa: B008 - an expression, which nobody changes
) -> None:
    """Delete the rows of which all evidence is gone, or that quote it; others lose the evidence and its quotes.

    source: what a row without evidence rests on.
    """
    table = says.table
    chosen = select(table.c.id, table.c.evidence, table.c.citations, says.label("says"), source.label("source"))
    for row in connection.execute(chosen.where(table.c.user_id == user_id)).all():
        left = [one for one in row.evidence if one not in gone]
        lost = not left if row.evidence else row.source in gone
        if lost or words.repeated_in(row.says):
            delete_rows(connection, table, done, table.c.id == row.id)
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
    """Drop the proposals that name the memory, and count its tags out where it was looked at."""
    memory = connection.execute(select(memories).where(memories.c.id == memory_id)).one()
    tags = tags_of(memory) if memory.kind == ANSWER_KIND else set()
    on = memory.at.date()
    for row in connection.execute(select(answer_audits).where(answer_audits.c.user_id == user_id)).all():
        merges = [one for one in row.merges if memory_id not in (one["keep"], *one["retire"])]
        # A day more at its end: a date of somebody's own may end a day later in UTC.
        looked_at = row.on - WINDOW <= on <= row.on + timedelta(days=1)
        counted = {tag: number - (looked_at and tag in tags) for tag, number in row.tags.items()}
        left = {tag: number for tag, number in counted.items() if number}
        if (merges, left) != (row.merges, row.tags):
            values = {"merges": merges, "tags": left}
            connection.execute(update(answer_audits).where(answer_audits.c.id == row.id).values(values))
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


def delete_rows(connection: Connection, table: Table, done: Forgotten, *conditions: Any) -> None:
    """Delete rows, and count them."""
    done.deleted[table.name] += connection.execute(delete(table).where(*conditions)).rowcount
