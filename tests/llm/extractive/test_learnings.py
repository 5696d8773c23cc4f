"""What is learned of a person: plain sentences with their sources, and nothing where nothing is of weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from selo_dagster.llm.protocol import Evidence
from tests.llm.extractive.days import START, day, document, memory, message, sources

LEAST_KEPT = 0.6


def learned(*evidence: Evidence, **more: Any) -> list[dict[str, Any]]:
    """Return what is learned from these sources."""
    request = replace(day(*evidence, **more), task="learnings", words=(1, 60))
    found: list[dict[str, Any]] = document(request)["learnings"]
    return found


def insight(number: int, text: str) -> Evidence:
    return Evidence(f"m{number}", "reflection", None, text, START, "2026-11-22")


class TestFromMemories:
    def test_a_memory_that_names_the_person_stands_as_a_sentence_of_its_own(self) -> None:
        (one,) = learned(memory(1, "Ana works in an archive of sounds", 0.5))
        assert one == {
            "text": "Ana works in an archive of sounds.",
            "domain": "knowledge",
            "confidence": 0.8,
            "importance": 0.5,
            "evidence": [{"source": "m1", "quote": "Ana works in an archive of sounds"}],
        }

    def test_other_memories_are_quoted_as_known_of_the_person(self) -> None:
        (one,) = learned(memory(1, "The oven is still stuck at the port.", 0.5))
        assert one["text"] == "Of Ana this is known: “The oven is still stuck at the port.”"

    def test_the_words_that_a_memory_was_made_of_are_cited_with_it(self) -> None:
        (one,) = learned(message(1, "He decided not to sell it for now."), memory(2, "Ana keeps the house.", 0.9))
        assert (one["text"], sources(one)) == ("Ana keeps the house.", ["m1", "m2"])

    def test_the_weightiest_come_first_and_never_more_than_five(self) -> None:
        found = learned(*(memory(number, f"Ana has thing number {number}", number / 10) for number in range(10)))
        assert [one["importance"] for one in found] == [0.9, 0.8, 0.7, 0.6, 0.5]

    def test_a_memory_is_surer_than_what_was_given_with_a_request(self) -> None:
        given = replace(memory(1, "Ana has moved to the coast.", 0.9), source="context")
        (one,) = learned(given)
        assert one["confidence"] < LEAST_KEPT
        (one,) = learned(memory(1, "Ana has moved to the coast.", 0.1 + 0.2))
        assert one["confidence"] >= LEAST_KEPT

    @pytest.mark.parametrize(
        ("kind", "text", "domain"),
        [
            ("preference", "Ana and her sister", "preferences"),
            ("relationship", "Ana wants to call Duarte", "relationships"),
            ("emotion", "Ana sat by the window", "feelings"),
            ("habit", "Ana sat by the window", "habits"),
            ("goal", "Ana sat by the window", "goals"),
            ("fact", "Ana wants to learn to swim", "goals"),
            ("fact", "Ana enjoys the rain", "preferences"),
            ("event", "Ana loves the smell of bread", "preferences"),
            ("fact", "Ana swims every morning", "habits"),
            ("fact", "Ana's sister has a boat", "relationships"),
            ("event", "Ana was proud of it", "feelings"),
            ("fact", "Ana was born in Porto", "knowledge"),
            (None, "安娜住在海边的一个小镇上", "knowledge"),
        ],
    )
    def test_the_domain_comes_from_the_kind_and_else_from_the_words(
        self, kind: str | None, text: str, domain: str
    ) -> None:
        (one,) = learned(replace(memory(1, text, 0.5), kind=kind))
        assert one["domain"] == domain


class TestFromWords:
    @pytest.mark.parametrize(
        ("text", "domain"),
        [
            ("I like the rain on the roof.", "preferences"),
            ("And I'm going to finish the last six reels.", "goals"),
            ("My brother lives in Porto now.", "relationships"),
            ("I always call her on Sundays.", "habits"),
            ("I was so lonely in that town.", "feelings"),
            ("Well, I am a nurse on the night shift.", "knowledge"),
        ],
    )
    def test_a_clear_statement_of_the_person_is_learned_and_quoted(self, text: str, domain: str) -> None:
        (one,) = learned(message(1, text))
        assert one["text"].endswith(f"“{text}”")
        assert "Ana" in one["text"]
        assert (one["domain"], sources(one)) == (domain, ["m1"])
        assert one["confidence"] >= LEAST_KEPT

    @pytest.mark.parametrize(
        "text",
        [
            "ok",
            "The bread rose at four.",
            "Do I like the rain on the roof?",
            "She likes the rain on the roof.",
            'I said "my brother is a thief".',
            "I went there and came back.",
            "😄",
        ],
    )
    def test_small_talk_teaches_nothing(self, text: str) -> None:
        assert learned(message(1, text)) == []

    def test_the_companions_words_teach_nothing(self) -> None:
        assert learned(message(1, "I like the rain on the roof.", "assistant")) == []

    def test_a_memory_of_no_weight_teaches_nothing(self) -> None:
        assert learned(memory(1, "Ana saw a bus.", 0.1)) == []


class TestFromInsights:
    def test_what_an_insight_quotes_is_learned_and_cites_the_insight(self) -> None:
        (one,) = learned(insight(1, "If I keep one thing of Ana's, it is “Ana wants to send Duarte a jar.”"))
        assert (one["text"], one["domain"]) == ("Ana wants to send Duarte a jar.", "goals")
        assert (sources(one), one["confidence"]) == (["m1"], LEAST_KEPT)

    def test_what_two_insights_quote_is_learned_once_and_cites_both(self) -> None:
        quote = "“The tomatoes were standing by the wall.”"
        (one,) = learned(insight(1, f"Nothing weighed more with me than {quote}"), insight(2, f"Beside it: {quote}"))
        assert sorted(sources(one)) == ["m1", "m2"]

    def test_an_insight_without_a_quote_is_less_sure(self) -> None:
        (one,) = learned(insight(1, "Ana fears that the house will be gone by spring."))
        assert one["text"] == "Ana fears that the house will be gone by spring."
        assert one["confidence"] < LEAST_KEPT

    @pytest.mark.parametrize(
        "text",
        [
            "Ana's words point to grief: “She died” and “beans had died”.",
            "Ana is left with a question: “Should I tell her before the spring comes?”",
            "I come back to a thought of my own: “I keep what Ana left with me of it.”",
            "I see no words of Ana's here.",
            "Ana sent something, and I could not read a word of it.",
        ],
    )
    def test_an_insight_that_tells_nothing_lasting_teaches_nothing(self, text: str) -> None:
        assert learned(insight(1, text)) == []


def test_the_same_is_learned_in_the_same_words_whenever_it_is() -> None:
    text = "The oven is still stuck at the port."
    told = {learned(memory(1, text, 0.5), message(200, f"Rain, part {number}."))[0]["text"] for number in range(8)}
    assert len(told) == 1
