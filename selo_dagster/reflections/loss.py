"""What a new version of a reflection loses of the present one: insights that still rest on something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from sqlalchemy import Connection, select

from selo_dagster.llm.quotes import says
from selo_dagster.memory.tables import memories, messages
from selo_dagster.reflections.questions.likeness import words
from selo_dagster.reflections.recipes.sources import kept
from selo_dagster.reflections.tables import reflections
from selo_dagster.reflections.validate import TOO_SIMILAR

MOST_LOST: Final = 0.25
"""Share of the live insights that a new version may lose. With one to three insights, none."""

Insight = Mapping[str, Any]
"""{text, evidence: ["memory:id", …]}, as it is stored."""

Citation = tuple[int, int]
"""The place of a new insight, and which of its sources."""


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
    taken from. An insight that says the same in nearly the same words is kept, whatever it rests on; what says it has
    a citation less for others.
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

    def cited(self, one: Insight) -> list[frozenset[str]]:
        """Return its sources: a memory together with the message it was taken from, if both are cited."""
        there = self.there(one)
        held = {self.taken_from.get(name) for name in there}
        return [frozenset({name, self.taken_from.get(name, name)}) & there for name in sorted(there - held)]

    def shared(self, some: frozenset[str], others: frozenset[str]) -> bool:
        return any(self._same(one, other) for one in some for other in others)

    def _same(self, one: str, other: str) -> bool:
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
    """Return for as many live insights as possible the new one that stands for each, no citation used twice.

    Also what is kept by its words uses up a citation: of a source of its own, if there is one.
    """
    cited = [sources.cited(one) for one in new]
    repeated: set[int] = set()
    offers: dict[int, list[Citation]] = {}
    for place, rests_on in live.items():
        alike: list[Citation] = []
        shared: list[Citation] = []
        for at, theirs in enumerate(cited):
            common = [(at, number) for number, one in enumerate(theirs) if sources.shared(one, rests_on)]
            if _alike(former[place]["text"], new[at]["text"]):
                repeated.add(place)
                alike += common or [(at, number) for number in range(max(1, len(theirs)))]
            else:
                shared += common
        offers[place] = [*alike, *shared]
    taken: dict[Citation, int] = {}
    # Whoever has found its place keeps one: what is said again is not the one that is lost.
    for place in sorted(live, key=lambda place: place not in repeated):
        _place(place, offers, taken, set())
    return {place: offer[0] for offer, place in taken.items()}


def _place(place: int, offers: Mapping[int, list[Citation]], taken: dict[Citation, int], seen: set[Citation]) -> bool:
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
    if not says(one + other):
        # Without a word there is no likeness of words.
        return one == other
    matcher = SequenceMatcher(None, words(one), words(other), autojunk=False)
    return matcher.real_quick_ratio() >= TOO_SIMILAR and matcher.ratio() >= TOO_SIMILAR
