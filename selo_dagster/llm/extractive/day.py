"""One person's day, read."""

from __future__ import annotations

from selo_dagster.llm.extractive.moments import Moment, Read, moments_of, read_of
from selo_dagster.llm.extractive.themes import theme_named, themes_of
from selo_dagster.llm.extractive.voice import Voice
from selo_dagster.llm.extractive.weights import heaviest
from selo_dagster.llm.extractive.wording import clean, clip
from selo_dagster.llm.protocol import CompletionRequest

_QUIET_WORDS = 12


class Day:
    """One person's day as it was read, and the voice that tells it."""

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.name = clip(clean(request.subject, 80), 3, 40) or "somebody"
        self.covers = clip(clean(request.covers, 160), 10, 80) or "that time"
        self.voice = Voice(request)
        # Python's sort is stable: sources of one instant stay in the order given.
        self.reads = [read_of(source) for source in sorted(request.evidence, key=lambda one: one.at)]
        self.moments = moments_of(self.reads)
        self.ranked = sorted(self.moments, key=Moment.strength, reverse=True)
        self.themes = themes_of(self.reads, self.name)
        self._theme_at: dict[str, str | None] = {}
        self.feelings = self._feelings()

    @property
    def intensity(self) -> float:
        """How strongly the first feeling is named: 0.2 where none is, then more with every word of it, below 0.9."""
        total = max(self.feelings.values(), default=0.0)
        return round(0.3 + 0.6 * total / (total + 2), 2) if total else 0.2

    @property
    def is_quiet(self) -> bool:
        return sum(len(read.text.split()) for read in self.reads if read.is_theirs) <= _QUIET_WORDS

    def say(self, slot: str, **parts: str) -> str:
        """Word one sentence."""
        return self.voice.say(slot, name=self.name, covers=self.covers, **parts)

    def every(self, slot: str) -> list[str]:
        """Word every sentence of a slot, beginning with the one that is due."""
        return self.voice.every(slot, name=self.name, covers=self.covers)

    def theme_of(self, moment: Moment) -> str | None:
        """Return the first theme that a moment is tagged with or speaks of."""
        alias = moment.main.source.alias
        if alias not in self._theme_at:
            tags = {theme_named(tag) for part in moment.parts for tag in part.source.tags}
            texts = [part.text.lower() for part in moment.parts]
            of_it = (one for one in self.themes if one in tags or any(one in text for text in texts))
            self._theme_at[alias] = next(of_it, None)
        return self._theme_at[alias]

    def strongest_feeling(self) -> tuple[str, dict[str, Read]]:
        """Return the first feeling, and up to three of the words that name it with where they stand."""
        primary = heaviest(self.feelings)[0]
        shown: dict[str, Read] = {}
        for moment in self.ranked:
            for part in moment.parts:
                for one in part.feelings:
                    if one.name == primary and len(shown) < 3:
                        shown.setdefault(clip(one.shown, 5, 40), part)
        return primary, shown

    def open_question(self) -> Read | None:
        """Return the person's last words if they are a question, and not one that they only tell of."""
        spoken = [read for read in self.reads if read.source.source == "message" and read.text]
        last = spoken[-1] if spoken else None
        if last is None or last.source.role != "user" or not last.text.endswith("?"):
            return None
        return last

    def _feelings(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for part in (part for moment in self.moments for part in moment.parts):
            for one in part.feelings:
                total[one.name] = total.get(one.name, 0) + one.weight * (0.5 + part.weight)
        return total
