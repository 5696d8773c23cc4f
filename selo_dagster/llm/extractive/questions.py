"""Questions to ask a person, each about something that is remembered of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from selo_dagster.llm.extractive.citing import citation
from selo_dagster.llm.extractive.lexicon import HEAVY, feelings_in, topics_in
from selo_dagster.llm.extractive.outlook import ahead
from selo_dagster.llm.extractive.themes import theme_named
from selo_dagster.llm.extractive.wording import QUOTED_CHARACTERS, clean, clip, fragment, quoted, sentences
from selo_dagster.llm.protocol import CompletionRequest, Evidence

MOST: Final = 3
LEAST_WORDS, MOST_WORDS = 4, 40
_QUOTE_WORDS, _QUOTE_CHARACTERS = 12, 80
_SENTENCE_WORDS: Final = 30
_ALIKE: Final = 0.5
_WEIGHT: Final = 0.5

_BY_KIND: Final = {
    "preference": ("How did you come to that: {quote}?", "preferences"),
    "goal": ("What would be the next small step towards this: {quote}?", "goals"),
    "relationship": ("How are things between you now, thinking of {quote}?", "family"),
}


@dataclass(frozen=True)
class _Asked:
    text: str
    topic: str
    priority: int
    delay_days: int
    evidence: dict[str, str]


def questions(request: CompletionRequest) -> dict[str, Any]:
    """Return up to three questions, each about another topic, none that was asked before; the weightiest first."""
    wanted = request.schema.get("properties", {}).get("questions", {}).get("maxItems", MOST)
    former = [_content(one) for one in request.earlier]
    found: list[_Asked] = []
    for one in _candidates(request):
        ours = _content(one.text)
        words = len(one.text.split())
        fits = LEAST_WORDS <= words <= MOST_WORDS and one.topic not in {other.topic for other in found}
        if fits and not any(_alike(ours, theirs) for theirs in former):
            found.append(one)
            former.append(ours)
        if len(found) >= min(MOST, int(wanted)):
            break
    return {
        "questions": [
            {
                "question": one.text,
                "topic": one.topic,
                "priority": one.priority,
                "suggested_delay_days": one.delay_days,
                "evidence": [one.evidence],
            }
            for one in found
        ],
        "notes": "" if found else "Nothing to ask that was not asked before.",
    }


def _candidates(request: CompletionRequest) -> Iterator[_Asked]:
    told = [one for one in request.evidence if one.source in {"memory", "context", "event"}]
    told.sort(
        key=lambda one: (-(_WEIGHT if one.importance is None else one.importance), -one.at.timestamp(), one.alias)
    )
    for one in told:
        asked = _about(one)
        if asked is not None:
            yield asked
    for one in request.evidence:
        if one.source == "reflection":
            yield from _after(one, request.subject)


def _about(one: Evidence) -> _Asked | None:
    text = clean(one.text)
    if not any(character.isalpha() for character in text):
        return None
    telling = [(*ahead(part), part) for part in sentences(text) if not part.endswith("?")]
    sure, event, words = max(telling, key=lambda found: found[0], default=(0, None, text))
    piece = fragment(words, _QUOTE_WORDS, _QUOTE_CHARACTERS)
    quote, evidence = quoted(piece.rstrip(".!…。 ")), citation(one.alias, text, piece)
    topic = _topic(one, text)
    if sure == 2 and event:
        return _Asked(f"How did the {event} go, the one from {quote}?", topic or event, 1, 1, evidence)
    feelings = feelings_in(text)
    if feelings:
        feeling = feelings[0].name
        heavy = f"What helps you when there is {feeling}, as with {quote}?"
        asked = heavy if feeling in HEAVY else f"What was the best of it: {quote}?"
        return _Asked(asked, topic or feeling, 2, 3, evidence)
    if one.kind in _BY_KIND:
        form, kind_topic = _BY_KIND[one.kind]
        return _Asked(form.format(quote=quote), topic or kind_topic, 3, 7, evidence)
    return _Asked(f"What is behind this for you: {quote}?", topic or "general", 3, 7, evidence)


def _topic(one: Evidence, text: str) -> str:
    tags = [theme_named(tag) for tag in one.tags]
    topics = topics_in(text)
    return clip(next((tag for tag in tags if tag), topics[0] if topics else ""), 4, 38).rstrip("…")


def _after(one: Evidence, name: str) -> Iterator[_Asked]:
    names = set(name.casefold().split())
    text = clean(one.text)
    for topic in dict.fromkeys(word for word in topics_in(text) if word not in names):
        told = next((part for part in sentences(text) if topic in part.lower()), "")
        evidence = citation(one.alias, text, clip(told, _SENTENCE_WORDS, QUOTED_CHARACTERS))
        yield _Asked(f"You came to my mind with {quoted(topic)}: how is it now?", clip(topic, 2, 38), 4, 7, evidence)


def _content(text: str) -> frozenset[str]:
    return frozenset(topics_in(clean(text)))


def _alike(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    return bool(ours and theirs) and len(ours & theirs) / len(ours | theirs) >= _ALIKE
