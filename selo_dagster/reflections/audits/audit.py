"""Which answers of a person say the same: found in code, from the last thirty days."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, select

from selo_dagster.memory.tables import memories
from selo_dagster.people.history import chunked
from selo_dagster.reflections.audits.tables import memory_retirements

WINDOW: Final = timedelta(days=30)
"""How far back answers are looked at (the predecessor's)."""

ALIKE: Final = 0.82
"""Likeness from which two answers are proposed to be merged (the predecessor's bound for learnings)."""

ANSWER_KIND: Final = "relationship_answer"
MOST: Final = 200
"""Answers of one person that are compared, the newest: comparing costs their square."""

READ_CHARACTERS: Final = 1_000


@dataclass(frozen=True)
class Merge:
    """A proposal: `keep` one memory and retire the others. likeness: 0-1, of the least alike of them."""

    keep: str
    retire: tuple[str, ...]
    because: Literal["same_content", "similar_content"]
    likeness: float


@dataclass(frozen=True)
class Report:
    """What an audit found. tags: how many answers carry each, the one that all carry left out."""

    answers: int
    tags: dict[str, int]
    merges: tuple[Merge, ...]


def audited(connection: Connection, user_ids: Sequence[str], end: datetime) -> dict[str, Report]:
    """Audit the answers of these people in the thirty days before `end`; retired ones are left out."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for part in chunked(user_ids):
        ranked = (
            select(
                memories.c.id,
                memories.c.user_id,
                memories.c.importance,
                memories.c.at,
                memories.c.tags,
                func.substr(memories.c.content, 1, READ_CHARACTERS).label("text"),
                func.row_number()
                .over(partition_by=memories.c.user_id, order_by=[memories.c.at.desc(), memories.c.id])
                .label("place"),
            )
            .where(
                memories.c.user_id.in_(part),
                memories.c.kind == ANSWER_KIND,
                memories.c.at >= end - WINDOW,
                memories.c.at < end,
                memories.c.id.not_in(select(memory_retirements.c.memory_id)),
            )
            .subquery()
        )
        for row in connection.execute(select(ranked).where(ranked.c.place <= MOST).order_by(ranked.c.place)):
            rows[row.user_id].append(row)
    return {user: _report(rows[user]) for user in user_ids}


def tags_of(row: Any) -> set[str]:
    """Return the tags of an answer as they are counted: in small letters, without the one that all carry."""
    stored = row.tags if isinstance(row.tags, list) else []
    return {tag.strip().casefold() for tag in stored if isinstance(tag, str) and tag.strip()} - {ANSWER_KIND}


def _report(answers: list[Any]) -> Report:
    tags = Counter(tag for row in answers for tag in tags_of(row))
    return Report(len(answers), dict(sorted(tags.items())), tuple(_merges(answers)))


def _merges(answers: list[Any]) -> list[Merge]:
    # The weightiest first, then the newest: each is kept, and takes in what is like it.
    waiting = sorted(answers, key=lambda row: (row.importance, row.at, row.id), reverse=True)
    found = []
    while waiting:
        kept, *rest = waiting
        like = {row.id: likeness for row in rest if (likeness := _likeness(kept, row)) >= ALIKE}
        if like:
            least = min(like.values())
            because: Literal["same_content", "similar_content"] = "same_content" if least == 1 else "similar_content"
            found.append(Merge(kept.id, tuple(like), because, round(least, 3)))
        waiting = [row for row in rest if row.id not in like]
    return found


def _likeness(one: Any, other: Any) -> float:
    """Return how alike two answers are, 0-1; answers on different topics are not alike, whatever their words."""
    if tags_of(one) and tags_of(other) and not tags_of(one) & tags_of(other):
        return 0.0
    ours, theirs = _words(one.text), _words(other.text)
    if ours == theirs:
        return 1.0
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.real_quick_ratio() < ALIKE or matcher.quick_ratio() < ALIKE:
        return 0.0
    return matcher.ratio()


def _words(text: str) -> list[str]:
    words = re.findall(r"\w+", text.casefold())
    return words or [text.strip()]
