"""What single words tell."""

from __future__ import annotations

import pytest

from selo_dagster.llm.extractive.lexicon import feelings_in


class TestFeelings:
    @pytest.mark.parametrize(
        ("text", "feeling"),
        [
            ("I was so happy", "joy"),
            ("I am not happy", "sadness"),
            ("I wasn't really happy with it", "sadness"),
            ("I'm not afraid", None),
            ("No. I'm happy", "joy"),
            ("exhausted!", "tiredness"),
            ("grüße 😭", "sadness"),
            ("I saw Joy at the market", None),
            ("Miss Ida is back", None),
            ("The train left at nine", None),
        ],
    )
    def test_words_tell_feelings_unless_denied(self, text: str, feeling: str | None) -> None:
        assert next((one.name for one in feelings_in(text)), None) == feeling
