"""What a sentence tells of things to come."""

from __future__ import annotations

import re
from typing import Final

_EVENTS: Final = (
    "interview call exam appointment meeting surgery operation wedding funeral birthday flight race concert deadline "
    "presentation audition rehearsal scan checkup biopsy hearing graduation defence trip visit party match performance"
)
_DAYS = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_AHEAD: Final = re.compile(
    rf"\b(?:tomorrow|the day after|this weekend|next (?:week|month|year|weekend|spring|summer|autumn|winter|{_DAYS})"
    rf"|(?:starting|back|coming) (?:on )?{_DAYS})\b"
)
_INTENDED: Final = re.compile(
    r"\b(?:(?:is|are|am|i'm|he's|she's|we're|they're) going to"
    r"|will(?! not)|wants? to|plans? to|hopes? to|promised to)\b"
)
_EVENT: Final = re.compile(rf"\b(?:{_EVENTS.replace(' ', '|')})\b")


def ahead(sentence: str) -> tuple[int, str | None]:
    """Return how surely a sentence speaks of what is to come (0 no, 1 intended, 2 dated), and an event it names."""
    lower = sentence.lower().replace("’", "'")
    sure = 2 if _AHEAD.search(lower) else 1 if _INTENDED.search(lower) else 0
    event = _EVENT.search(lower)
    return sure, event.group() if event else None
