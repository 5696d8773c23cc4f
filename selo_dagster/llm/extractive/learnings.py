"""What is to be learned of a person, each with its sources."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from selo_dagster.llm.answers import Domain
from selo_dagster.llm.extractive.citing import cited
from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.domains import domain_of, domain_told
from selo_dagster.llm.extractive.moments import FEW_WORDS, Moment, Read
from selo_dagster.llm.extractive.phrases import PHRASES
from selo_dagster.llm.extractive.wording import QUOTED_CHARACTERS, capital, closing, ended, fragment, sentences
from selo_dagster.llm.protocol import CompletionRequest

LEAST_WORDS: Final = 3
MOST_WORDS: Final = 50
"""Words of one learning, whatever the evidence is."""

_MOST: Final = 5
_MOST_CITED: Final = 3
_QUOTED_WORDS: Final = 30
_LEAST_WEIGHT: Final = 0.3
_SAID_AT_MOST: Final = 0.6
_TELLING_BYTES: Final = 24

_UNSURE: Final = 0.5
_QUOTED_BEFORE: Final = 0.6
_STATED: Final = 0.65
_REMEMBERED: Final = 0.7
"""How sure a learning is: by what others say, by what an insight quotes, by the person's own word, by a memory."""

_OWN: Final = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our)\b", re.IGNORECASE)
_OF_THEMSELVES: Final = re.compile(r"\W*(?:(?:and|but|so|yes|no|then|now|well)\b\W+)*(?:i|we|my|our)\b", re.IGNORECASE)
_REPORTED: Final = frozenset('"\u201c\u201d?')
_QUOTED: Final = re.compile("\u201c([^\u201c\u201d]*)\u201d")
_OWN_THOUGHT: Final = tuple(one.partition("{")[0] for one in PHRASES["insight_thought"])


@dataclass
class _Claim:
    """What a moment says of the person. direct: it names the person, and can stand without quotation marks."""

    words: str
    domain: Domain
    confidence: float
    importance: float
    direct: bool = False
    citations: dict[str, dict[str, str]] = field(default_factory=dict)


def learnings(request: CompletionRequest) -> dict[str, Any]:
    """Return up to five learnings, the weightiest first; none where nothing is of weight."""
    day = Day(request)
    found: dict[str, _Claim] = {}
    for moment in day.ranked:
        claim = _claim_of(day, moment)
        if claim is None:
            continue
        known = found.setdefault(claim.words.lower(), claim)
        for part in moment.parts:
            known.citations.setdefault(part.source.alias, cited(part, claim.words))
    return {
        "learnings": [
            {
                "text": _worded(day, one),
                "domain": one.domain,
                "confidence": round(one.confidence, 2),
                "importance": round(one.importance, 2),
                "evidence": list(one.citations.values())[:_MOST_CITED],
            }
            for one in list(found.values())[:_MOST]
        ]
    }


def _worded(day: Day, claim: _Claim) -> str:
    if claim.direct:
        return capital(ended(claim.words))
    # The same words every time: what is learned once more can then be known as the same.
    return day.say(f"learned_{claim.domain}", quote=closing(claim.words))


def _claim_of(day: Day, moment: Moment) -> _Claim | None:
    if moment.main.source.source == "reflection":
        return _from_insight(day, moment.main)
    if moment.kept is not None:
        return _from_memory(day, moment.kept)
    return _from_words(moment.main)


def _from_memory(day: Day, read: Read) -> _Claim | None:
    if read.weight < _LEAST_WEIGHT or not any(map(str.isalpha, read.text)):
        return None
    words = _short(read.text)
    # What was given with a request or noticed was not said by the person, nor kept of it.
    confidence = _REMEMBERED + 0.2 * read.weight if read.source.source == "memory" else _UNSURE
    return _Claim(words, domain_of(read.text, read.source.kind), confidence, read.weight, _names(day, words))


def _from_words(read: Read) -> _Claim | None:
    """Learn from what the person says of themselves; what they say of others is no more than talk."""
    for sentence in sentences(read.text):
        domain = domain_told(sentence) if _is_statement(sentence) else None
        if domain is not None:
            importance = min(read.weight + 0.1 * sum(one.weight for one in read.feelings), _SAID_AT_MOST)
            return _Claim(_short(sentence), domain, _STATED, importance)
    return None


def _from_insight(day: Day, read: Read) -> _Claim | None:
    """Learn from what an insight quotes: the words around it are those of whoever reflected."""
    if read.text.startswith(_OWN_THOUGHT):
        return None
    quotes = [words for words in _QUOTED.findall(read.text) if _tells(words)]
    if quotes:
        words = _short(quotes[0].strip())
        return _Claim(words, domain_of(words, None), _QUOTED_BEFORE, 0.5, _names(day, words))
    if "\u201c" in read.text or not _tells(read.text) or not _names(day, read.text):
        return None
    words = _short(read.text)
    return _Claim(words, domain_of(words, None), _UNSURE, 0.4, _names(day, words))


def _is_statement(sentence: str) -> bool:
    """Tell whether a sentence states something of whoever speaks, and not what was once said."""
    reported = not _REPORTED.isdisjoint(sentence)
    return bool(_OF_THEMSELVES.match(sentence)) and sentence.count(" ") >= FEW_WORDS - 1 and not reported


def _tells(words: str) -> bool:
    """Tell whether words say something: more than a few, or long without spaces as in Chinese; and no question."""
    long = words.count(" ") >= FEW_WORDS or (not words.isascii() and len(words.encode()) >= _TELLING_BYTES)
    return long and any(map(str.isalpha, words)) and not _asks(words)


def _asks(words: str) -> bool:
    return words.rstrip("\"'”’)*…. ").endswith(("?", "？"))


def _names(day: Day, words: str) -> bool:
    """Tell whether words speak of the person by name, and not as the person speaks."""
    named = re.search(rf"\b{re.escape(day.name.split()[0])}\b", words)
    return named is not None and words.count(" ") >= LEAST_WORDS - 1 and not _OWN.search(words)


def _short(text: str) -> str:
    return fragment(text, _QUOTED_WORDS, QUOTED_CHARACTERS)
