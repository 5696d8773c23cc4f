"""What to do after a day, each action with its occasion."""

from __future__ import annotations

from typing import NamedTuple

from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.lexicon import HEAVY
from selo_dagster.llm.extractive.moments import Read
from selo_dagster.llm.extractive.outlook import ahead
from selo_dagster.llm.extractive.wording import clip, fragment, quoted, sentences

_MOST_AHEAD = 20


class Intention(NamedTuple):
    """Something to do, with its occasion, and what it is called in passing."""

    text: str
    brief: str


def intentions_of(day: Day) -> list[Intention]:
    """Return one to three things to do, the most pressing first."""
    found = []
    if (asked := day.open_question()) is not None:
        found.append(_intention(day, "answer", quote=_short(sentences(asked.text)[-1])))
    found += _ahead(day)[:2]
    if day.feelings and day.intensity >= 0.5 and (primary := day.strongest_feeling())[0] in HEAVY:
        words = quoted(next(iter(primary[1])))
        found.append(_intention(day, "care", quote=words))
    if not found:
        found.append(_another_time(day))
    return list({one.text: one for one in found}.values())[:3]


def _ahead(day: Day) -> list[Intention]:
    """Return what to come back to: what has a date before what is only intended, the weightier first."""
    found = []
    for moment in day.ranked[:_MOST_AHEAD]:
        told = [(*ahead(one), one) for part in moment.parts for one in _statements(part)]
        sure, event, words = max(told, key=lambda one: one[0], default=(0, None, ""))
        event = event or next((one for _, one, _ in told if one), None)
        if sure == 2 and event:
            found.append((3, _intention(day, "event", event=event, quote=_short(words))))
        # What is said with "will" is often said of others, or in anger: only memories are taken at their word.
        elif sure == 2 or (sure == 1 and moment.kept is not None and words in moment.kept.text):
            found.append((sure, _intention(day, "ahead", quote=_short(words))))
    return [one for _, one in sorted(found, key=lambda one: -one[0])]


def _another_time(day: Day) -> Intention:
    theirs = [one for one in day.ranked if any(part.is_theirs for part in one.parts)]
    if not theirs:
        return _intention(day, "hello")
    words = _short(fragment((theirs[0].kept or theirs[0].main).text, 16, 90))
    theme = day.theme_of(theirs[0])
    return _intention(day, "theme", theme=theme, quote=words) if theme else _intention(day, "more", quote=words)


def _intention(day: Day, what: str, **parts: str) -> Intention:
    brief = day.say(f"brief_{what}", **parts)
    return Intention(clip(day.say(f"act_{what}", **parts), 60, 160), brief[:1].lower() + brief[1:])


def _statements(read: Read) -> list[str]:
    """Return the sentences of the person's in which something ahead could be told."""
    if not read.is_theirs or not ahead(read.text)[0]:
        return []
    return [one for one in sentences(read.text) if one.count(" ") >= 2 and not one.endswith("?")]


def _short(words: str) -> str:
    return quoted(clip(words, 16, 90))
