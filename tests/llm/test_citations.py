"""A citation holds if its quote stands in what its source says, and says enough of it."""

from __future__ import annotations

import pytest

from selo_dagster.llm import quotes
from selo_dagster.llm.citations import QUOTE_NOT_FOUND, QUOTE_TOO_SHORT, Citation, Passage, Sources

SAID = "Yesterday I went - - - to the sea with Ana"


@pytest.mark.parametrize("quote", ["… … … I", "- - -", "? ! . the", "I …………………… !!!"])
def test_one_word_with_signs_around_it_is_no_quote(quote: str) -> None:
    assert Sources({"m1": SAID}).passage(Citation("m1", quote)) == QUOTE_TOO_SHORT


def test_signs_around_a_quote_take_nothing_from_its_words() -> None:
    assert Sources({"m1": SAID}).passage(Citation("m1", "… to the sea …")) == Passage("m1", "to the sea", 23, 33)


def test_a_text_is_folded_once_however_many_quotes_are_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[str] = []

    def counting(text: str) -> quotes.Folded:
        folded.append(text)
        return fold(text)

    fold = quotes.folded
    monkeypatch.setattr(quotes, "folded", counting)
    told = "Yesterday I went to the sea with Ana"
    sources = Sources({"m1": SAID}, {"m1": told})
    for number in range(20):
        assert sources.passage(Citation("m1", f"what nobody said {number} times")) == QUOTE_NOT_FOUND
    assert (folded.count(SAID), folded.count(told)) == (1, 1)
