"""The story of a stretch of time."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from selo_dagster.llm.protocol import Evidence
from tests.llm.extractive.days import day, document, memory, message, sources


def told(*evidence: Evidence, words: tuple[int, int] = (15, 315)) -> dict[str, Any]:
    """Return the story of these sources."""
    return document(replace(day(*evidence), task="episode", words=words))


def test_the_moments_are_told_in_their_order_and_cited() -> None:
    answer = told(
        message(1, "We drove to the coast in the morning."),
        message(10, "Where did you stop?", "assistant"),
        message(11, "By the lighthouse, and I cried when I saw it."),
        memory(12, "Ana saw the lighthouse of her childhood again.", 0.9, "sea"),
        message(20, "ok"),
    )
    narrative = answer["narrative"]
    assert narrative.index("“We drove to the coast") < narrative.index("“By the lighthouse")
    assert "“Where did you stop?”" in narrative
    assert sources(answer) == ["m1", "m11", "m12"]
    assert answer["title"] == "Sea: Sunday 22 November 2026"
    assert (answer["emotion"], answer["themes"], answer["importance"]) == ("sadness", ["sea"], 0.9)


def test_only_what_is_told_is_cited() -> None:
    long = [message(number, f"Part {number} of it, " + "and so on it went " * 30) for number in range(1, 40)]
    answer = told(*long, words=(15, 180))
    quotes = re.findall("“Part ([0-9]+)", answer["narrative"])
    assert sources(answer) == [f"m{number}" for number in quotes]
    assert 1 < len(quotes) < 8


def test_a_stretch_without_feeling_or_theme_is_quiet_and_calm() -> None:
    answer = told(message(1, "ok"))
    assert (answer["emotion"], answer["themes"]) == ("calm", ["a quiet time"])
    assert answer["title"] == "A quiet time: Sunday 22 November 2026"
    assert answer["importance"] <= 0.3


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (message(1, "", "user"), "a word that I can read"),
        (message(1, "Good evening, are you there?", "assistant"), "“Good evening, are you there?”"),
        (message(1, "", "system"), "no words of Ana's"),
    ],
)
def test_a_stretch_without_the_persons_words_says_so_and_cites_what_there_is(one: Evidence, said: str) -> None:
    answer = told(one)
    assert said in answer["narrative"]
    assert sources(answer) == ["m1"]


def test_it_says_that_it_is_an_extract_by_rules() -> None:
    narrative = told(message(1, "We drove to the coast in the morning."))["narrative"]
    assert "extract" in narrative
    assert "without a language model" in narrative


def test_a_strong_feeling_weighs_even_where_no_memory_does() -> None:
    assert told(message(1, "I was so lonely. I cried and wept, sad and lonely."))["importance"] > 0.6
