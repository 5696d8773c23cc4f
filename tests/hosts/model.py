"""A model's server for nights that take a while: answers whatever is asked by the book, after a pause."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, Final

from tests.support.fault_server import Received, Script, aliases_of, cited, good_document, ok, slow

NEWS: Final = [{"name": "empathy", "delta": 0.02, "reason": "They needed somebody who listens."}]
"""What a reflection wishes to move: a saga follows from it."""


def answer(received: Received) -> str:
    """Return an answer that fits the schema of a request, different for each person and day."""
    schema = (received.body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    asked = frozenset(schema.get("properties", {}))
    stem = sha256(re.sub(r"<<<.*?>>>", "", received.prompt).encode()).hexdigest()[:8]
    document: dict[str, Any]
    if "mantra" in asked:
        document = {"mantra": f"Today {stem} reminds me to listen longer and to go on gently."}
    elif "questions" in asked:
        document = {"questions": [_question(stem, received)], "notes": ""}
    elif "learnings" in asked:
        document = {"learnings": []}
    elif "summary" in asked:
        document = {"summary": f"They talked about {stem}.", "topics": ["the day"]}
    elif "narrative" in asked:
        document = _story(stem, received)
    else:
        document = good_document(received, trait_changes=NEWS)
    return json.dumps(document)


def _question(stem: str, received: Received) -> dict[str, Any]:
    words = f"Which {stem}alpha {stem}beta {stem}gamma stayed with you?"
    return {
        "question": words,
        "topic": stem,
        "priority": 2,
        "suggested_delay_days": 1,
        "evidence": cited(received, *_first(received, "questions")),
    }


def _story(stem: str, received: Received) -> dict[str, Any]:
    return {
        "title": f"A day {stem}",
        "narrative": f"They told of {stem} and went on.",
        "emotion": "calm",
        "themes": ["the day"],
        "importance": 0.5,
        "evidence": cited(received, *(aliases_of(received)[:1] or ["m1"])),
    }


def _first(received: Received, of: str) -> list[str]:
    schema = received.body["response_format"]["json_schema"]["schema"]
    return list(schema["properties"][of]["items"]["properties"]["evidence"]["items"]["properties"]["source"]["enum"])[
        :1
    ]


def after(seconds: float) -> Script:
    """Answer by the book after a while."""
    return lambda _: slow(seconds, ok(answer))
