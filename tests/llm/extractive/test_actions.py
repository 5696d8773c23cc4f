"""What is to be done after a day."""

from __future__ import annotations

import re

from tests.llm.extractive.days import day, document, memory, message


class TestIntentions:
    def test_an_event_ahead_is_asked_about(self) -> None:
        actions = document(day(message(1, "The interview is tomorrow at ten.")))["actions"]
        assert "interview" in actions[0]
        assert "“The interview is tomorrow at ten.”" in actions[0]

    def test_a_question_left_open_is_answered(self) -> None:
        actions = document(day(message(1, "I keep turning it over. Should I tell her?")))["actions"]
        assert "“Should I tell her?”" in actions[0]

    def test_a_question_that_was_followed_up_is_not_open(self) -> None:
        answer = document(day(message(1, "Should I tell her?"), message(2, "Tell her what?", "assistant")))
        assert not [one for one in answer["actions"] if one.startswith(("Answer", "Return"))]

    def test_a_heavy_day_is_asked_after(self) -> None:
        actions = document(day(message(1, "I was so lonely and cried. I feel lonely in this town.")))["actions"]
        assert any(re.match("Ask (how Ana feels|gently)", one) for one in actions)

    def test_without_anything_ahead_the_strongest_theme_is_taken_up(self) -> None:
        (action,) = document(day(memory(1, "Ana found the seed notebook.", 0.6, "garden")))["actions"]
        assert "Ana" in action
        assert "garden" in action
