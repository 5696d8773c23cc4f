"""Turns of phrase that differ."""

from __future__ import annotations

from dataclasses import replace

from tests.llm.extractive.days import day, document, memory, message


class TestTurns:
    def test_two_people_with_the_same_words_are_not_told_in_the_same_words(self) -> None:
        texts = {
            document(day(message(1, "A slow day at the library."), subject=name))["content"].replace(name, "")
            for name in ("Ana", "Kofi", "Mei", "Ruth", "Isla", "Kai", "Nima", "Hana")
        }
        assert len(texts) > 4

    def test_the_next_text_does_not_open_as_the_last_one_did(self) -> None:
        request = day(message(1, "Bread again."), memory(2, "Bread.", 0.4, "bakery"))
        first = document(request)["content"]
        second = document(replace(request, earlier=(first,)))["content"]
        assert second[:25] != first[:25]
