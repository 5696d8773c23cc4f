"""A citation holds if its quote stands in what its source says, and says enough of it."""

from __future__ import annotations

import pytest

from selo_dagster.llm.citations import QUOTE_TOO_SHORT, Citation, Passage, Sources

SAID = "Yesterday I went - - - to the sea with Ana"


@pytest.mark.parametrize("quote", ["… … … I", "- - -", "? ! . the", "I …………………… !!!"])
def test_one_word_with_signs_around_it_is_no_quote(quote: str) -> None:
    assert Sources({"m1": SAID}).passage(Citation("m1", quote)) == QUOTE_TOO_SHORT


def test_signs_around_a_quote_take_nothing_from_its_words() -> None:
    assert Sources({"m1": SAID}).passage(Citation("m1", "… to the sea …")) == Passage("m1", "to the sea", 23, 33)
