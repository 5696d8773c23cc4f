"""The extractive model's questions: each about something remembered, none twice."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from selo_dagster.llm.extractive import ExtractiveModel
from selo_dagster.llm.protocol import CompletionRequest, Evidence
from tests.llm.extractive.days import sources
from tests.llm.extractive.test_mantra import HOSTILE

AT = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def memory(number: int, text: str, kind: str = "fact", *tags: str) -> Evidence:
    """Return a memory."""
    at = AT + timedelta(hours=number)
    return Evidence(f"m{number}", "memory", None, text, at, "12:00", importance=0.5, tags=tags, kind=kind)


def asked(*evidence: Evidence, earlier: tuple[str, ...] = (), most: int = 3) -> list[dict[str, Any]]:
    """Return the questions asked of this evidence."""
    request = CompletionRequest(
        task="questions",
        kind="relationship_questions",
        instructions="",
        subject="Ana",
        covers="a day",
        evidence=evidence,
        schema={"properties": {"questions": {"maxItems": most}}},
        words=(4, 40),
        deadline_s=1.0,
        earlier=earlier,
    )
    document = json.loads(asyncio.run(ExtractiveModel().complete(request)).text)
    assert set(document) == {"questions", "notes"}
    questions: list[dict[str, Any]] = document["questions"]
    aliases = {one.alias for one in evidence}
    for one in questions:
        assert one["question"].endswith("?")
        assert 4 <= len(one["question"].split()) <= 40
        assert 1 <= one["priority"] <= 5
        assert 0 <= one["suggested_delay_days"] <= 40
        assert one["evidence"]
        assert set(sources(one)) <= aliases
        assert 0 < len(one["topic"]) <= 40
    assert len({one["topic"] for one in questions}) == len(questions)
    return questions


def test_what_is_ahead_is_asked_after_first() -> None:
    (one, *_) = asked(memory(1, "Ana has an interview next Tuesday at the harbour.", "fact", "work"))
    assert "interview" in one["question"]
    assert (one["topic"], one["priority"], sources(one)) == ("work", 1, ["m1"])


def test_each_is_about_another_topic_and_never_more_than_there_is_room_for() -> None:
    told = [
        memory(number, text, "fact", topic)
        for number, (text, topic) in enumerate(
            (
                ("Matilde plays the cello", "music"),
                ("The kitchen roof leaks when it rains", "home"),
                ("Her grandmother came from Porto", "family"),
                ("She keeps bees behind the library", "garden"),
            )
        )
    ]
    assert len(asked(*told)) == 3
    assert len(asked(*told, most=1)) == 1


def test_what_was_asked_before_is_not_asked_again() -> None:
    told = memory(1, "Ana plays the cello in a quartet", "preference", "music")
    (first,) = asked(told)
    assert asked(told, earlier=(first["question"],)) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_it_stays_within_its_bounds_whatever_is_remembered(text: str) -> None:
    reflection = Evidence("m2", "reflection", None, text, AT, "12:00")
    asked(memory(1, text, "preference", text[:30]), reflection)
