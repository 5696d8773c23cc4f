"""How a day moves the companion's traits."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from importlib import resources
from typing import Any

import pytest

from selo_dagster.llm.protocol import Evidence
from tests.llm.extractive.days import day, document, memory, message


def moved(*evidence: Evidence) -> dict[str, float]:
    """Return the deltas of a day, by trait."""
    return {one["name"]: one["delta"] for one in document(day(*evidence))["trait_changes"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I was so lonely in this town and I cried at the station, it is sad to sit here.", {"empathy": 0.02}),
        ("We were so happy, we laughed until the lamp went out and smiled all the way.", {"helpfulness": 0.01}),
        ("I am so grateful to you, thankful for every evening that we had and for the rest.", {"politeness": 0.01}),
        ("The exam is tomorrow at ten and I have packed the three pencils that I own.", {"adaptability": 0.01}),
        ("I keep turning the letter over and over on the kitchen table. Should I tell her?", {"curiosity": 0.01}),
        ("We planted the last of the tulips along the wall and went home by the river.", {}),
    ],
)
def test_a_trait_moves_by_what_the_day_shows(text: str, expected: dict[str, float]) -> None:
    assert moved(message(1, text)) == expected


@pytest.mark.parametrize("text", ["So sad. I cried and wept.", "Should I tell her?", "ok", ""])
def test_a_quiet_day_moves_nothing(text: str) -> None:
    assert moved(message(1, text)) == {}


def test_two_traits_move_at_most_and_the_feeling_comes_first() -> None:
    text = "I am so anxious and afraid, so worried about the exam tomorrow that I cannot sleep. What if I fail?"
    assert moved(message(1, text)) == {"empathy": 0.02, "curiosity": 0.01}


def test_the_companions_own_words_move_nothing() -> None:
    text = "I am so sad, so lonely, I cried and wept about the exam tomorrow. Will you come?"
    assert moved(message(1, text, "assistant"), message(2, "The bread rose at four and we ate it.")) == {}


def test_a_reason_holds_nothing_of_what_was_said() -> None:
    text = "Zanzibar was sad and lonely, I cried in Zanzibar, and Zanzibar is tomorrow. Zanzibar again?"
    changes = document(day(message(1, text), memory(2, "Zanzibar", 0.9, "zanzibar")))["trait_changes"]
    assert len(changes) == 2
    assert "zanzibar" not in json.dumps(changes).lower()


def test_the_last_day_of_the_demo_moves_somebody() -> None:
    people: dict[str, list[Evidence]] = defaultdict(list)
    for line in (resources.files("selo_dagster.demo") / "people.jsonl").read_bytes().splitlines():
        told: dict[str, Any] = json.loads(line)
        if told["type"] in {"message", "memory"} and told["at"].startswith("2026-09-06"):
            one = memory(len(people[told["user"]]), told["content"], told.get("importance", 0.5))
            if told["type"] == "message":
                one = replace(one, source="message", role=told["role"], importance=None)
            people[told["user"]].append(replace(one, at=datetime.fromisoformat(told["at"].replace("Z", "+00:00"))))
    assert {name for some in people.values() for name in moved(*some)} >= {"empathy", "helpfulness"}
