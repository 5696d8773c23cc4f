"""What is understood of a day, each insight with its sources."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.wording import (
    QUOTED_CHARACTERS,
    clip,
    closing,
    fragment,
    listed,
    quoted,
    sentences,
    when,
)


def insights_of(day: Day) -> list[dict[str, Any]]:
    """Return one to three insights, each with the aliases of its sources."""
    found = list(islice(_understood(day), 3)) or [_nothing_understood(day)]
    return [{"text": clip(text, 100, 300), "evidence": aliases[:3]} for text, aliases in found]


def _understood(day: Day) -> Iterable[tuple[str, list[str]]]:
    if not day.ranked:
        return
    top = day.ranked[0]
    slot = "insight_strong" if any(part.is_theirs for part in top.parts) else "insight_thought"
    words = (top.kept or top.main).text
    yield day.say(slot, quote=closing(fragment(words, 30, QUOTED_CHARACTERS))), top.aliases
    if day.feelings:
        feeling, shown, aliases = day.strongest_feeling()
        yield day.say("insight_feeling", feeling=feeling, words=listed([quoted(one) for one in shown])), aliases
    if (open_question := day.open_question()) is not None:
        question = closing(clip(sentences(open_question.text)[-1], 24, 120))
        yield day.say("insight_question", quote=question), [open_question.source.alias]
    second = next((one for one in day.ranked[1:] if one.kept is not None and one.kept.is_theirs), None)
    if second is not None and second.kept is not None:
        yield (
            day.say("insight_second", quote=closing(fragment(second.kept.text, 30, QUOTED_CHARACTERS))),
            second.aliases,
        )
    for theme in day.themes:
        both = [one for one in day.moments if day.theme_of(one) == theme]
        if len(both) < 2:
            continue
        former, latter = both[0].main, both[-1].main
        parts = {"first": when(former.source.local), "second": when(latter.source.local)}
        if parts["first"] != parts["second"]:
            quote = closing(fragment(latter.text, 16, 100))
            yield (
                day.say("insight_theme", theme=theme, quote=quote, **parts),
                [*both[0].aliases[:1], *both[-1].aliases[:1]],
            )


def _nothing_understood(day: Day) -> tuple[str, list[str]]:
    theirs = [read.source.alias for read in day.reads if read.is_theirs]
    aliases = theirs or [read.source.alias for read in day.reads]
    return day.say("insight_unread" if theirs else "insight_mine"), aliases
