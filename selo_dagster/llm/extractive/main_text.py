"""The main text of a reflection."""

from __future__ import annotations

import re
from collections.abc import Sequence

from selo_dagster.llm.extractive.actions import Intention
from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.filling import filling, words_in
from selo_dagster.llm.extractive.moments import FEW_WORDS, Moment
from selo_dagster.llm.extractive.telling import mood_of, nothing_told, telling_of
from selo_dagster.llm.extractive.wording import (
    QUOTED_CHARACTERS,
    clean,
    closing,
    fragment,
    listed,
    sentences,
    when,
)

_MOST_MOMENTS = 6
_AROUND_A_QUOTE = 9


class MainText:
    """The main text of a reflection, put together within its bounds."""

    def __init__(self, day: Day, intention: Intention) -> None:
        self.day = day
        self.intention = intention
        self.low, self.high = day.request.words
        # Few moments are quoted at more length than many.
        self.quote = 32 if len(day.moments) <= 4 else 24
        self.quotes: dict[tuple[str, bool], list[str]] = {}
        self.late = [one for one in day.ranked if one.late][:2]

    def text(self) -> str:
        """Return the sentences in one line."""
        opening, asides, end = self._opening(), self._asides(), self._end()
        chosen = self._chosen(self.high - 4 - words_in([opening, *asides, *end]))
        body = self._body(chosen)
        while len(chosen) > 1 and words_in([opening, *body, *asides, *end]) > self.high:
            chosen = chosen[:-1]
            body = self._body(chosen)
        lines = [opening, *body, *self._passed_over(len(chosen)), *asides]
        if words_in([*lines, *end]) > self.high:
            lines = [opening, *body, *asides]
        return " ".join([*lines, *filling(self.day, words_in([*lines, *end]), self.low), *end])

    def _opening(self) -> str:
        if self.day.themes:
            return self.day.say("open", themes=listed(self.day.themes[:2]))
        return self.day.say("open_quiet" if self.day.is_quiet else "open_plain")

    def _passed_over(self, told: int) -> list[str]:
        number = sum(not one.late for one in self.day.moments) - told
        return [self.day.say("unquoted", number=str(number))] if number > 1 else []

    def _asides(self) -> list[str]:
        """Tell what came too late and what was left out."""
        lines: list[str] = []
        for moment in self.late:
            slot = "late_noted" if moment.said is None else "late_said"
            read = moment.said or moment.main
            quote = closing(fragment(read.text, 14, 120))
            if not any(line.endswith(quote) for line in lines):
                lines.append(self.day.say(slot, when=when(read.source.local), quote=quote))
        if omitted := self.day.request.omitted:
            lines.append(self.day.say("omitted" if omitted > 1 else "omitted_one", number=str(omitted)))
        return lines

    def _end(self) -> list[str]:
        day = self.day
        lines = [mood_of(day)]
        # Its first sentence names themes; the later ones hold words of this module's own, such as "language".
        earlier = sentences(clean(day.request.earlier[0], 400).lower())[:1] if day.request.earlier else []
        if day.themes and earlier and re.search(rf"\b{re.escape(day.themes[0])}\b", earlier[0]):
            lines.append(day.say("again", theme=day.themes[0]))
        return [*lines, day.say("intend", action=self.intention.brief), day.say("honest")]

    def _chosen(self, room: int) -> list[Moment]:
        """Return the strongest moments for which there is room, the strongest first; one in any case."""
        chosen: list[Moment] = []
        told: set[str] = set()
        ranked = [one for one in self.day.ranked if not one.late]
        for moment in [one for one in ranked if one.tells] or ranked[:1]:
            quotes = self._quotes(moment, room if not chosen else 0)
            cost = words_in(quotes) + _AROUND_A_QUOTE
            if chosen and (len(chosen) == _MOST_MOMENTS or room < _AROUND_A_QUOTE + FEW_WORDS):
                break
            # Long texts may differ only after what is quoted of them.
            if chosen and (cost > room or quotes[0] in told):
                continue
            told.add(quotes[0])
            chosen.append(moment)
            room -= cost
        return chosen

    def _quotes(self, moment: Moment, room: int) -> list[str]:
        """Return what is quoted of a moment: the words, and with room enough what was remembered of them."""
        kept = "" if moment.kept is None else moment.kept.text
        with_memory = room > 80 and moment.kept is not None and moment.kept is not moment.main
        if (quotes := self.quotes.get((moment.main.source.alias, with_memory))) is not None:
            return quotes
        quotes = [closing(fragment(moment.main.text, self.quote, QUOTED_CHARACTERS, like=kept))]
        if with_memory:
            quotes.append(closing(fragment(kept, 24, QUOTED_CHARACTERS)))
        self.quotes[moment.main.source.alias, with_memory] = quotes
        return quotes

    def _body(self, chosen: Sequence[Moment]) -> list[str]:
        day = self.day
        if not chosen:
            return [] if self.late else [nothing_told(day)[0]]
        groups: dict[str | None, list[Moment]] = {theme: [] for theme in (*day.themes, None)}
        for moment in chosen:
            groups[day.theme_of(moment)].append(moment)
        lines: list[str] = []
        filled = [theme for theme, some in groups.items() if some]
        if len(filled) < 2 or filled[1] is None:
            # One heading would only break the order of time.
            groups, filled = {None: list(chosen)}, [None]
        for theme in filled:
            if len(filled) > 1:
                last = "last" if theme == filled[-1] else "next"
                lines.append(day.say("rest" if theme is None else "first" if not lines else last, theme=theme or ""))
            for moment in sorted(groups[theme], key=lambda one: one.main.source.at):
                lines += self._told(moment, self.high if moment is chosen[0] and len(chosen) > 1 else 0)
        return lines

    def _told(self, moment: Moment, room: int) -> list[str]:
        main, *kept = self._quotes(moment, room)
        return [telling_of(self.day, moment, main), *(self.day.say("kept", quote=one) for one in kept)]
