"""The story of a stretch of time, told by its strongest moments in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from selo_dagster.llm.citations import MOST_CITATIONS
from selo_dagster.llm.extractive.citing import cited, each_cited
from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.filling import filling, words_in
from selo_dagster.llm.extractive.moments import Moment
from selo_dagster.llm.extractive.telling import mood_of, nothing_told, telling_of
from selo_dagster.llm.extractive.weights import heaviest
from selo_dagster.llm.extractive.wording import QUOTED_CHARACTERS, capital, clip, closing, fragment, listed
from selo_dagster.llm.protocol import CompletionRequest

_MOST_MOMENTS: Final = 8
_MOST_CHARACTERS: Final = 3_000
_QUOTED_WORDS: Final = 26
_TITLE_WORDS, _TITLE_CHARACTERS = 20, 120


def episode(request: CompletionRequest) -> dict[str, Any]:
    """Return a story that quotes and cites what it tells of."""
    day = Day(request)
    themes = day.themes or ["a quiet time" if day.is_quiet else "this and that"]
    narrative, citations = _narrative(day)
    return {
        "title": clip(f"{capital(listed(themes[:2]))}: {day.covers}", _TITLE_WORDS, _TITLE_CHARACTERS),
        "narrative": narrative,
        "emotion": heaviest(day.feelings)[0] if day.feelings else "calm",
        "themes": themes,
        "importance": round(_importance(day), 2),
        "evidence": citations[:MOST_CITATIONS],
    }


def _narrative(day: Day) -> tuple[str, list[dict[str, str]]]:
    """Return the story within its bounds, and what it quotes of what it tells of."""
    low, high = day.request.words
    opening, end = _opening(day), [mood_of(day), day.say("honest")]
    moments = _moments(day)
    lines, citations = _told(day, moments)
    while len(moments) > 1 and not _fits([opening, *lines, *end], high):
        moments = moments[:-1]
        lines, citations = _told(day, moments)
    if not lines:
        line, reads = nothing_told(day)
        lines, citations = [line], each_cited(reads)
    lines = [opening, *lines]
    return " ".join([*lines, *filling(day, words_in([*lines, *end]), low), *end]), citations


def _opening(day: Day) -> str:
    if day.themes:
        return day.say("episode_open", themes=listed(day.themes[:2]))
    return day.say("episode_open_plain")


def _moments(day: Day) -> list[Moment]:
    """Return the strongest moments, each with another quote: long texts may differ only after what is quoted."""
    found: dict[str, Moment] = {}
    for moment in [one for one in day.ranked if one.tells] or day.ranked[:1]:
        found.setdefault(_quote(moment), moment)
        if len(found) == _MOST_MOMENTS:
            break
    return list(found.values())


def _told(day: Day, moments: Sequence[Moment]) -> tuple[list[str], list[dict[str, str]]]:
    in_order = sorted(moments, key=lambda one: one.main.source.at)
    lines = [telling_of(day, one, closing(_quote(one))) for one in in_order]
    return lines, [cited(part, _quote(one)) for one in in_order for part in one.parts]


def _quote(moment: Moment) -> str:
    kept = "" if moment.kept is None else moment.kept.text
    return fragment(moment.main.text, _QUOTED_WORDS, QUOTED_CHARACTERS, like=kept)


def _fits(lines: Sequence[str], high: int) -> bool:
    return words_in(lines) <= high and len(" ".join(lines)) <= _MOST_CHARACTERS


def _importance(day: Day) -> float:
    """Return the weight of the strongest moment, or how strongly the first feeling is named, whichever is more."""
    weight = max((part.weight for moment in day.ranked[:1] for part in moment.parts), default=0.0)
    return max(weight, day.intensity)
