"""How text is cleaned and cut."""

from __future__ import annotations

import pytest

from selo_dagster.llm.extractive.wording import clean, clip


class TestWording:
    @pytest.mark.parametrize("sign", ["e\u0301", "👩\u200d👩\u200d👧", "👍🏽", "🇵🇹", "❤\ufe0f"])
    def test_a_cut_never_splits_what_is_seen_as_one_sign(self, sign: str) -> None:
        for characters in range(20, 40):
            short_text = clip(sign * 60, 10, characters).removesuffix("…")
            assert short_text == sign * (len(short_text) // len(sign))

    def test_a_persian_joiner_and_a_family_survive_and_stray_joiners_do_not(self) -> None:
        assert clean("می\u200cخواهم 👩\u200d👧 \u200d x\u200d") == "می\u200cخواهم 👩\u200d👧 x"
