"""What one reflection reads: the right day of the right person, newest first, packed to a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal

from selo_dagster.people.local_days import Window

SourceKind = Literal["message", "memory"]


@dataclass(frozen=True)
class Source:
    """One message or memory. at: UTC. role: of a message. importance, tags, kind: of a memory."""

    source: SourceKind
    id: str
    text: str
    at: datetime
    role: Literal["user", "assistant", "system"] | None = None
    importance: float | None = None
    tags: tuple[str, ...] = ()
    kind: str | None = None
    late: bool = False


@dataclass(frozen=True)
class Context:
    """Everything that a person's reflection is made from.

    sources: kept ones in order of time. dropped: those for which there was no room. more: how many were not
    even read, because a day has bounds too. earlier: texts of former reflections, newest first.
    """

    user_id: str
    name: str
    window: Window
    sources: tuple[Source, ...]
    dropped: tuple[Source, ...] = ()
    more: int = 0
    earlier: tuple[str, ...] = ()
    persona: dict[str, float] = field(default_factory=dict)
    late_days: tuple[date, ...] = ()

    @property
    def interacted(self) -> bool:
        """Whether the person left something: words of their own, or a memory of them."""
        return any(one.source == "memory" or one.role == "user" for one in (*self.sources, *self.dropped))


MEMORY_WEIGHT = 1.0
OWN_WORDS_WEIGHT = 0.5


def packed(sources: Sequence[Source], budget: int) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Split sources into those that fit into `budget` characters and the others.

    Memories come before words, the person's own words before the companion's, then the newest first; what
    is kept is returned in order of time, what is dropped in order of preference. A single source longer
    than the budget is cut to it, so that something can always be read.
    """
    kept: list[Source] = []
    dropped: list[Source] = []
    left = budget
    for source in sorted(sources, key=_preference):
        if len(source.text) <= left:
            kept.append(source)
            left -= len(source.text)
        elif not kept:
            kept.append(_cut(source, budget))
            left = 0
        else:
            dropped.append(source)
    return tuple(sorted(kept, key=lambda one: (one.at, one.source, one.id))), tuple(dropped)


def _preference(source: Source) -> tuple[float, float, str, str]:
    if source.source == "memory":
        weight = MEMORY_WEIGHT + (source.importance or 0.0)
    else:
        weight = OWN_WORDS_WEIGHT if source.role == "user" else 0.0
    return -weight, -source.at.timestamp(), source.source, source.id


def _cut(source: Source, length: int) -> Source:
    return replace(source, text=source.text[:length])
