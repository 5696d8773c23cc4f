"""What is understood of a day, each insight with its sources."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from selo_dagster.llm.extractive.citing import cited, each_cited
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
    """Return one to three insights, each with what it quotes of its sources."""
    found = list(islice(_understood(day), 3)) or [_nothing_understood(day)]
    return [{"text": clip(text, 100, 300), "evidence": citations[:3]} for text, citations in found]


def _understood(day: Day) -> Iterable[tuple[str, list[dict[str, str]]]]:
    if not day.ranked:
        return
    top = day.ranked[0]
    slot = "insight_strong" if any(part.is_theirs for part in top.parts) else "insight_thought"
    words = fragment((top.kept or top.main).text, 30, QUOTED_CHARACTERS)
    yield day.say(slot, quote=closing(words)), each_cited(top.parts, words)
    if day.feelings:
        feeling, shown = day.strongest_feeling()
        told = {read.source.alias: cited(read, one) for one, read in shown.items()}
        words = listed([quoted(one) for one in shown])
        yield day.say("insight_feeling", feeling=feeling, words=words), list(told.values())
    if (open_question := day.open_question()) is not None:
        words = clip(sentences(open_question.text)[-1], 24, 120)
        yield day.say("insight_question", quote=closing(words)), [cited(open_question, words)]
    second = next((one for one in day.ranked[1:] if one.kept is not None and one.kept.is_theirs), None)
    if second is not None and second.kept is not None:
        words = fragment(second.kept.text, 30, QUOTED_CHARACTERS)
        yield day.say("insight_second", quote=closing(words)), each_cited(second.parts, words)
    for theme in day.themes:
        both = [one for one in day.moments if day.theme_of(one) == theme]
        if len(both) < 2:
            continue
        former, latter = both[0].main, both[-1].main
        parts = {"first": when(former.source.local), "second": when(latter.source.local)}
        if parts["first"] != parts["second"]:
            words = fragment(latter.text, 16, 100)
            yield (
                day.say("insight_theme", theme=theme, quote=closing(words), **parts),
                [cited(former), cited(latter, words)],
            )


def _nothing_understood(day: Day) -> tuple[str, list[dict[str, str]]]:
    theirs = [read for read in day.reads if read.is_theirs]
    return day.say("insight_unread" if theirs else "insight_mine"), each_cited((theirs or day.reads)[:3])
