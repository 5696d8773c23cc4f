"""What a new version of a reflection loses of the present one: insights that still rest on something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.memory.tables import memories, messages
from selo_dagster.reflections.questions.likeness import words
from selo_dagster.reflections.recipes.sources import kept
from selo_dagster.reflections.tables import reflections
from selo_dagster.reflections.validate import TOO_SIMILAR

MOST_LOST: Final = 0.25
"""Share of the live insights that a new version may lose. With one to three insights, none."""

Insight = Mapping[str, Any]
"""{text, evidence: ["memory:id", …]}, as it is stored."""


@dataclass(frozen=True)
class Compared:
    """A version held against the present one.

    kept: (its insight, the new one that stands for it); lost: live ones that none stands for; gone: those whose sources
    are all gone, which are nobody's loss; new: those that stand for none.
    """

    kept: tuple[tuple[Insight, Insight], ...]
    lost: tuple[Insight, ...]
    gone: tuple[Insight, ...]
    new: tuple[Insight, ...]

    @property
    def live(self) -> int:
        """Insights of the present version of which a source is still there."""
        return len(self.kept) + len(self.lost)

    @property
    def too_much(self) -> bool:
        """Whether more is lost than may be."""
        return len(self.lost) > MOST_LOST * self.live


def compared(connection: Connection, user_id: str, former: Sequence[Insight], new: Sequence[Insight]) -> Compared:
    """Say which insights of one version another keeps.

    A source is still there if it is stored, is this person's, and was not merged into another memory. Each citation
    of the new version stands for one insight that cites the same source, so that three that rest on one memory are
    not kept by one. The same source are also two versions of one reflection, and a memory and the message it was
    taken from. An insight that says the same in nearly the same words is kept, whatever it rests on.
    """
    sources = _sources(connection, user_id, (name for one in (*former, *new) for name in one["evidence"]))
    live = {place: there for place, one in enumerate(former) if (there := sources.there(one))}
    pairs = _paired(live, former, new, sources)
    standing = set(pairs.values())
    return Compared(
        kept=tuple((former[place], new[pairs[place]]) for place in sorted(pairs)),
        lost=tuple(former[place] for place in live if place not in pairs),
        gone=tuple(one for place, one in enumerate(former) if place not in live),
        new=tuple(one for place, one in enumerate(new) if place not in standing),
    )


@dataclass(frozen=True)
class _Sources:
    """names: what a source that is there is known by; taken_from: a memory's message."""

    names: Mapping[str, str]
    taken_from: Mapping[str, str]

    def there(self, one: Insight) -> frozenset[str]:
        return frozenset(self.names[name] for name in one["evidence"] if name in self.names)

    def same(self, one: str, other: str) -> bool:
        return one == other or self.taken_from.get(one) == other or self.taken_from.get(other) == one


def _sources(connection: Connection, user_id: str, named: Iterable[str]) -> _Sources:
    ids: dict[str, set[str]] = defaultdict(set)
    for name in named:
        source, _, source_id = name.partition(":")
        ids[source].add(source_id)
    names: dict[str, str] = {}
    taken_from: dict[str, str] = {}
    for row in _theirs(connection, messages, user_id, ids["message"], messages.c.id):
        names[f"message:{row.id}"] = f"message:{row.id}"
    for row in _theirs(connection, memories, user_id, ids["memory"], memories.c.id, memories.c.message_id):
        names[f"memory:{row.id}"] = f"memory:{row.id}"
        if row.message_id is not None:
            taken_from[f"memory:{row.id}"] = f"message:{row.message_id}"
    columns = (reflections.c.id, reflections.c.kind, reflections.c.key)
    for row in _theirs(connection, reflections, user_id, ids["reflection"], *columns):
        names[f"reflection:{row.id}"] = f"reflection:{row.kind}/{row.key}"
    return _Sources(names, taken_from)


def _theirs(connection: Connection, table: Any, user_id: str, ids: set[str], *columns: Any) -> Sequence[Any]:
    if not ids:
        return ()
    return connection.execute(
        select(*columns).where(table.c.id.in_(sorted(ids)), table.c.user_id == user_id, *kept(table))
    ).all()


def _paired(
    live: Mapping[int, frozenset[str]], former: Sequence[Insight], new: Sequence[Insight], sources: _Sources
) -> dict[int, int]:
    """Return for as many live insights as possible the new one that stands for each, no citation used twice."""
    citations = [(place, name) for place, one in enumerate(new) for name in sorted(sources.there(one))]
    offers: dict[int, list[tuple[int, str]]] = {}
    for place, rests_on in live.items():
        alike = [(at, "") for at, one in enumerate(new) if _alike(former[place]["text"], one["text"])]
        shared = [one for one in citations if any(sources.same(one[1], name) for name in rests_on)]
        offers[place] = [*alike, *shared]
    taken: dict[tuple[int, str], int] = {}
    for place in live:
        _place(place, offers, taken, set())
    return {place: offer[0] for offer, place in taken.items()}


def _place(
    place: int, offers: Mapping[int, list[tuple[int, str]]], taken: dict[tuple[int, str], int], seen: set[Any]
) -> bool:
    """Give an insight something that stands for it, moving others to another where they have one (Kuhn's algorithm)."""
    for offer in offers[place]:
        if offer in seen:
            continue
        seen.add(offer)
        if offer not in taken or _place(taken[offer], offers, taken, seen):
            taken[offer] = place
            return True
    return False


def _alike(one: str, other: str) -> bool:
    matcher = SequenceMatcher(None, words(one), words(other), autojunk=False)
    return matcher.real_quick_ratio() >= TOO_SIMILAR and matcher.ratio() >= TOO_SIMILAR
