"""The themes of a day: its tags, and words that stand out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from selo_dagster.llm.extractive.lexicon import addresses, topics_in
from selo_dagster.llm.extractive.moments import Read
from selo_dagster.llm.extractive.weights import heaviest
from selo_dagster.llm.extractive.wording import clean, clip
from selo_dagster.llm.trust.stand_ins import without_stand_ins


def themes_of(reads: Sequence[Read], name: str) -> list[str]:
    """Return up to three tags by weight, then words that stand out by their number."""
    theirs = [read for read in reads if read.is_theirs]
    tags: dict[str, float] = {}
    for read in theirs:
        for tag in dict.fromkeys(theme_named(tag) for tag in read.source.tags):
            tags[tag] = tags.get(tag, 0) + 1 + read.weight
    found = [tag for tag in heaviest(tags) if tag and not addresses(tag)][:3]
    if len(found) == 3:
        return found
    names = set(name.lower().split())
    words = Counter(word for read in theirs for word in topics_in(without_stand_ins(read.text)) if word not in names)
    enough = 4 if found else 2
    ranked = sorted(words, key=lambda word: (-words[word], -len(word), word))
    often = [word for word in ranked if words[word] >= enough and not any(word[:4] in one for one in found)]
    return [*found, *(often or ([] if found else ranked[:1]))][:3]


def theme_named(tag: str) -> str:
    """Return the theme that a tag names."""
    return clip(clean(clean(tag, 120).lower()), 4, 40)
