"""What a conversation came to, in one to three sentences."""

from __future__ import annotations

from typing import Any, Final

from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.filling import words_in
from selo_dagster.llm.extractive.wording import QUOTED_CHARACTERS, clip, closing, fragment, listed, quoted, sentences
from selo_dagster.llm.protocol import CompletionRequest

LEAST_HIGH: Final = 50
GREATEST_LOW: Final = 15
"""Words: the bounds of a summary that can be kept whatever the evidence is."""

_MOST: Final = 3


def summary(request: CompletionRequest) -> dict[str, Any]:
    """Return what was talked about, what weighed most, and the feeling or question that is left; with its topics."""
    day = Day(request)
    low, high = request.words
    lines = [_about(day)]
    for line in (_weightiest(day), _left(day)):
        if line is not None and words_in([*lines, line]) <= high:
            lines.append(line)
    if words_in(lines) < low and len(lines) < _MOST:
        lines.append(day.say("honest"))
    return {"summary": " ".join(lines), "topics": day.themes}


def _about(day: Day) -> str:
    if not any(read.is_theirs for read in day.reads):
        return day.say("insight_mine")
    if not any(read.is_theirs and read.text for read in day.reads):
        return day.say("insight_unread")
    if day.themes:
        return day.say("summed", themes=listed(day.themes))
    return day.say("summed_quiet" if day.is_quiet else "summed_plain")


def _weightiest(day: Day) -> str | None:
    top = next((one for one in day.ranked if any(part.is_theirs for part in one.parts)), None)
    if top is None:
        return None
    return day.say("insight_strong", quote=closing(fragment((top.kept or top.main).text, 24, QUOTED_CHARACTERS)))


def _left(day: Day) -> str | None:
    if day.feelings:
        feeling, shown = day.strongest_feeling()
        return day.say("insight_feeling", feeling=feeling, words=listed([quoted(one) for one in shown]))
    if (asked := day.open_question()) is not None:
        return day.say("insight_question", quote=closing(clip(sentences(asked.text)[-1], 20, 120)))
    return None
