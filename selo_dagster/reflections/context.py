"""What one reflection reads: the right day of the right person, newest first, packed to a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal

from selo_dagster.people.local_days import Window

SourceKind = Literal["message", "memory", "reflection", "context", "event"]


@dataclass(frozen=True)
class Source:
    """One message, memory, former reflection, stated event, or text given with a request.

    at: UTC. role: of a message. importance, tags, kind: of a memory. told: the text as it may be shown, where that is
    not the stored one. tainted: it tried to give an order, came from an untrusted writer, or is made from such a one.
    """

    source: SourceKind
    id: str
    text: str
    at: datetime
    role: Literal["user", "assistant", "system"] | None = None
    importance: float | None = None
    tags: tuple[str, ...] = ()
    kind: str | None = None
    late: bool = False
    told: str | None = None
    tainted: bool = False

    @property
    def as_told(self) -> str:
        """The text as it may be shown."""
        return self.text if self.told is None else self.told

    @property
    def theirs(self) -> bool:
        """Whether it is the person's: words of their own, a memory of them, something given for their sake."""
        return self.source in {"memory", "context", "event"} or self.role == "user"


@dataclass(frozen=True)
class Material:
    """What a recipe read for one claim, before it is packed.

    window: the instants covered. covers: the same in words. always: sources that are kept whatever the budget
    is. more: how many were not even read, because a day has bounds too. earlier: former texts, newest first.
    with_dates: whether a source's time needs its date to be understood. room: how many questions may be asked.
    report: what was computed, where no model is asked. read_upto: place in the stream up to which this reads.
    """

    window: Window
    covers: str
    sources: Sequence[Source] = ()
    always: Sequence[Source] = ()
    more: int = 0
    earlier: tuple[str, ...] = ()
    late_days: tuple[date, ...] = ()
    with_dates: bool = False
    room: int = 0
    report: object | None = None
    read_upto: int | None = None


@dataclass(frozen=True)
class Context:
    """Everything that a person's reflection is made from.

    sources: kept ones in order of time. dropped: those for which there was no room. withheld: those that said nothing
    but orders, links and secrets. The others as in Material.
    """

    user_id: str
    name: str
    window: Window
    covers: str
    sources: tuple[Source, ...]
    dropped: tuple[Source, ...] = ()
    withheld: tuple[Source, ...] = ()
    more: int = 0
    earlier: tuple[str, ...] = ()
    persona: dict[str, float] = field(default_factory=dict)
    goals: tuple[str, ...] = ()
    late_days: tuple[date, ...] = ()
    with_dates: bool = False
    room: int = 0
    report: object | None = None
    read_upto: int | None = None
    name_tainted: bool = False

    @property
    def tainted(self) -> bool:
        """Whether anything that is shown, or was withheld, is tainted."""
        return self.name_tainted or any(one.tainted for one in (*self.sources, *self.withheld))


def date_in_words(on: date) -> str:
    """Return a date as a person says it: "Sunday 22 November 2026"."""
    return f"{on:%A} {on.day} {on:%B %Y}"


FIRST_WEIGHT = 3.0
MEMORY_WEIGHT = 1.0
OWN_WORDS_WEIGHT = 0.5


def packed(
    sources: Sequence[Source], budget: int, *, always: Sequence[Source] = ()
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Split sources into those that fit into `budget` characters and the others.

    Memories come before words, the person's own words before the companion's, then the newest first; what
    is kept is returned in order of time, what is dropped in order of preference. A single source longer
    than the budget is cut to it, so that something can always be read. always: kept first, each cut to its
    share of the budget if they are too much for it, so that what caused a reflection is never missing from it.
    """
    share = budget // max(1, len(always))
    fit = sum(len(source.as_told) for source in always) <= budget
    kept: list[Source] = [source if fit else cut(source, share) for source in always]
    there = {(source.source, source.id) for source in always}
    dropped: list[Source] = []
    left = budget - sum(len(source.as_told) for source in kept)
    for source in sorted((one for one in sources if (one.source, one.id) not in there), key=_preference):
        if len(source.as_told) <= left:
            kept.append(source)
            left -= len(source.as_told)
        elif not kept:
            kept.append(cut(source, budget))
            left = 0
        else:
            dropped.append(source)
    return tuple(sorted(kept, key=lambda one: (one.at, one.source, one.id))), tuple(dropped)


def _preference(source: Source) -> tuple[float, float, str, str]:
    if source.source in {"reflection", "context", "event"}:
        weight = FIRST_WEIGHT
    elif source.source == "memory":
        weight = MEMORY_WEIGHT + (source.importance or 0.0)
    else:
        weight = OWN_WORDS_WEIGHT if source.role == "user" else 0.0
    return -weight, -source.at.timestamp(), source.source, source.id


def cut(source: Source, length: int) -> Source:
    """Return a source with no more of its text shown than so many characters."""
    told = None if source.told is None else source.told[:length]
    return replace(source, text=source.text[:length] if told is None else source.text, told=told)
