"""What a conversation came to."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from selo_dagster.llm.protocol import Evidence
from tests.llm.extractive.days import day, document, memory, message


def summed(*evidence: Evidence, words: tuple[int, int] = (10, 80)) -> dict[str, Any]:
    """Return the summary of these sources."""
    return document(replace(day(*evidence), task="summary", words=words))


def unquoted(text: str) -> str:
    return re.sub("“[^”]*”", "“”", text)


def test_it_tells_the_topics_the_weightiest_and_the_feeling() -> None:
    answer = summed(
        message(1, "The garden was dry, but the tomatoes were standing in the garden."),
        message(2, "How was it to be there without her, were you sad?", "assistant"),
        message(3, "I cried a little, by the tomatoes, where nobody could see it."),
    )
    assert answer["topics"] == ["tomatoes", "garden"]
    assert "tomatoes and garden" in answer["summary"]
    assert "“I cried a little, by the tomatoes, where nobody could see it.”" in answer["summary"]
    assert "sadness" in answer["summary"]
    assert len(re.findall(r"[.”](?= |$)", unquoted(answer["summary"]))) == 3


def test_a_question_that_is_left_is_told() -> None:
    summary = summed(message(1, "I keep turning the letter over on the table. Should I tell her?"))["summary"]
    assert "“Should I tell her?”" in summary


def test_a_conversation_without_the_persons_words_says_so() -> None:
    answer = summed(message(1, "Good evening, are you there?", "assistant"))
    assert answer["summary"].startswith("I see no words of Ana's here.")
    assert answer["topics"] == []


def test_what_has_no_room_is_left_out() -> None:
    texts = [f"I was glad about the long walk, number {number}, by the river and the mill." for number in range(9)]
    evidence = [message(number, " ".join(texts), late=number == 1) for number in range(3)]
    assert len(summed(*evidence, words=(1, 50))["summary"].split()) <= 50


def test_tags_are_topics() -> None:
    assert summed(memory(1, "Ana found the notebook.", 0.5, "family", "garden"))["topics"] == ["family", "garden"]
