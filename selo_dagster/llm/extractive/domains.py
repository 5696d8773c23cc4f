"""To which part of a person's life a sentence belongs."""

from __future__ import annotations

import re
from typing import Final

from selo_dagster.llm.answers import Domain
from selo_dagster.llm.extractive.lexicon import feelings_in

_OF_KIND: Final[dict[str, Domain]] = {
    "preference": "preferences",
    "relationship": "relationships",
    "emotion": "feelings",
    "feeling": "feelings",
    "habit": "habits",
    "routine": "habits",
    "goal": "goals",
}
_WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_SPAN = "(?:day|morning|afternoon|evening|night|week|weekend|month|year)"
_AIM: Final = re.compile(
    r"\b(?:(?:wants?|plans?|hopes?|promised|trying|tries) to|(?:i'm|i am|we're|we are) going to"
    r"|my (?:goal|plan|dream))\b"
)
_LIKING: Final = re.compile(
    r"\b(?:i|we) (?:(?:really|always|do) )?(?:like|enjoy|prefer|hate|dislike|love (?:the|to|how|when))\b"
    r"|\b(?:likes|enjoys|prefers|hates|dislikes|loves (?:the|to|how|when))\b"
    r"|\bfavou?rites?\b|\bcan't stand\b|\bfond of\b"
)
_AGAIN: Final = re.compile(
    rf"\b(?:always|usually|on {_WEEKDAY}s|(?:every|each|most) (?:single )?(?:{_SPAN}s?|{_WEEKDAY}))\b"
)
_PEOPLE: Final = re.compile(
    r"\b(?:(?:grand)?(?:mother|father|parents?|sons?|daughters?|child|children)|mum|mom|dad|wife|husband|partner"
    r"|sisters?|brothers?|aunts?|uncles?|cousins?|nephews?|nieces?|friends?|girlfriend|boyfriend|neighbou?rs?"
    r"|colleagues?|family)\b"
)
_BEING: Final = re.compile(
    r"\b(?:i'm|i am|i was) an? |\bi (?:live|lived|work|worked|study|studied|teach|taught|come from|grew up|was born)\b"
)


def domain_of(text: str, kind: str | None) -> Domain:
    """Return the domain of something remembered, by its kind and else by its words."""
    return _OF_KIND.get((kind or "").lower()) or domain_told(text) or "knowledge"


def domain_told(sentence: str) -> Domain | None:
    """Return the domain that the words of a sentence tell, if they tell one."""
    lower = sentence.lower().replace("’", "'")
    if _AIM.search(lower):
        return "goals"
    if _LIKING.search(lower):
        return "preferences"
    if _AGAIN.search(lower):
        return "habits"
    if _PEOPLE.search(lower):
        return "relationships"
    if feelings_in(sentence):
        return "feelings"
    return "knowledge" if _BEING.search(lower) else None
