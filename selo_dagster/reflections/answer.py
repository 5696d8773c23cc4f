"""The answer that a model is asked for: its JSON schema, and its reading."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from selo_dagster.llm.citations import MOST_ASKED, Citation, Passage, citation_of, citations_schema

CONTENT_LIMIT: Final = 4_000
INSIGHT_LIMIT: Final = 400
SHORT_LIMIT: Final = 200
MAX_EACH: Final = 3
MAX_TRAIT_CHANGES: Final = 6
MAX_TRAIT_DELTA: Final = 0.15


@dataclass(frozen=True)
class Insight:
    """One thing understood. evidence: what it is said to rest on; passages: where that stands, once it was checked."""

    text: str
    evidence: tuple[Citation, ...]
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class TraitChange:
    """A wished change of one trait. delta: signed, on the 0-1 scale of traits."""

    name: str
    delta: float
    reason: str


@dataclass(frozen=True)
class Answer:
    """A reflection as the model gave it, in the right shape but not yet checked."""

    content: str
    themes: tuple[str, ...]
    insights: tuple[Insight, ...]
    actions: tuple[str, ...]
    primary: str
    intensity: float
    secondary: tuple[str, ...]
    trait_changes: tuple[TraitChange, ...]

    @property
    def words(self) -> int:
        """Words of the main text, as split by white space."""
        return len(self.content.split())


class MalformedAnswerError(ValueError):
    """The text is no answer: not JSON, or JSON of another shape. Never holds the text itself."""


def answer_schema(aliases: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON Schema for one request: every string and list bounded, only its own aliases allowed."""
    short = {"type": "string", "minLength": 1, "maxLength": SHORT_LIMIT}
    unit = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(
        content={"type": "string", "minLength": 1, "maxLength": CONTENT_LIMIT},
        themes=_array(short, 1, MAX_EACH),
        insights=_array(
            _object(
                text={"type": "string", "minLength": 1, "maxLength": INSIGHT_LIMIT},
                evidence=citations_schema(aliases, MOST_ASKED),
            ),
            1,
            MAX_EACH,
        ),
        actions=_array(short, 1, MAX_EACH),
        emotional_state=_object(primary=short, intensity=unit, secondary=_array(short, 0, 2)),
        trait_changes=_array(
            _object(
                name=short,
                delta={"type": "number", "minimum": -MAX_TRAIT_DELTA, "maximum": MAX_TRAIT_DELTA},
                reason=short,
            ),
            0,
            MAX_TRAIT_CHANGES,
        ),
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: dict[str, Any], low: int, high: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": low, "maxItems": high}


def read_answer(text: str) -> Answer:
    """Read a model's text. Raises MalformedAnswerError when it is not one JSON object of the right shape."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not one JSON document") from None
    if not isinstance(document, dict):
        raise MalformedAnswerError("not a JSON object")
    state = _dict(document, "emotional_state")
    return Answer(
        content=_text(document, "content"),
        themes=_texts(document, "themes"),
        insights=tuple(
            Insight(_text(_as_dict(one), "text"), _citations(_as_dict(one))) for one in _list(document, "insights")
        ),
        actions=_texts(document, "actions"),
        primary=_text(state, "primary"),
        intensity=_number(state, "intensity"),
        secondary=_texts(state, "secondary") if "secondary" in state else (),
        trait_changes=tuple(
            TraitChange(_text(_as_dict(one), "name"), _number(_as_dict(one), "delta"), _text(_as_dict(one), "reason"))
            for one in (_list(document, "trait_changes") if "trait_changes" in document else [])
        ),
    )


def _as_dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedAnswerError("a list holds something that is no object")
    return value


def _dict(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise MalformedAnswerError(f"{name} is missing or no object")
    return value


def _list(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise MalformedAnswerError(f"{name} is missing or no list")
    return value


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise MalformedAnswerError(f"{name} is missing or no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MalformedAnswerError(f"{name} holds half a character") from None
    return " ".join(value.replace("\x00", " ").split()) if name != "content" else value.replace("\x00", " ").strip()


def _texts(document: dict[str, Any], name: str) -> tuple[str, ...]:
    found = []
    for value in _list(document, name):
        if not isinstance(value, str):
            raise MalformedAnswerError(f"{name} holds something that is no text")
        found.append(_text({name: value}, name))
    return tuple(text for text in found if text)


def _citations(document: dict[str, Any]) -> tuple[Citation, ...]:
    found = []
    for value in _list(document, "evidence"):
        cited = citation_of(value)
        if cited is None:
            raise MalformedAnswerError("evidence holds something that is no citation")
        _text({"evidence": f"{cited.source}{cited.quote}"}, "evidence")
        found.append(cited)
    return tuple(found)


def _number(document: dict[str, Any], name: str) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or abs(value) > 1e6:
        raise MalformedAnswerError(f"{name} is missing or no number")
    return float(value)
