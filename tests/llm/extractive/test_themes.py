"""What a day was about."""

from __future__ import annotations

from tests.llm.extractive.days import day, document, memory, message


class TestThemes:
    def test_tags_come_first_by_weight_in_lower_case(self) -> None:
        answer = document(
            day(
                memory(1, "Rang.", 0.9, "Family"), memory(2, "Baked.", 0.2, "bakery"), memory(3, "Rose.", 0.3, "family")
            )
        )
        assert answer["themes"] == ["family", "bakery"]

    def test_without_tags_a_word_that_recurs_is_the_theme(self) -> None:
        answer = document(day(message(1, "The violin is back."), message(2, "I played the violin all evening.")))
        assert answer["themes"] == ["violin"]

    def test_chinese_has_themes_without_spaces(self) -> None:
        assert document(day(message(1, "今天去了医院,奶奶好。"), message(2, "明天还去医院。")))["themes"] == ["医院"]

    def test_a_word_or_two_make_a_quiet_day(self) -> None:
        assert document(day(message(1, "ok")))["themes"] == ["a quiet day"]
