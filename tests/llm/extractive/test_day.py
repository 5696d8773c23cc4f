"""How strongly a day was felt."""

from __future__ import annotations

from tests.llm.extractive.days import day, document, message


class TestFeelings:
    def test_more_words_make_a_stronger_feeling(self) -> None:
        once = document(day(message(1, "I was angry.")))["emotional_state"]
        often = document(day(message(1, "I was angry. Furious. I am still mad, and frustrated.")))["emotional_state"]
        assert once["primary"] == often["primary"] == "anger"
        assert once["intensity"] < often["intensity"]

    def test_other_feelings_follow_the_first(self) -> None:
        mood = document(day(message(1, "I laughed and laughed, though I was tired.")))["emotional_state"]
        assert (mood["primary"], mood["secondary"]) == ("joy", ["tiredness"])
