"""A quote is found where its words stand, whatever became of signs that only look, and nowhere else."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from selo_dagster.llm.quotes import LEAST_CHARACTERS, Text, find, folded, says, weighs

TEXT = "On Sunday she said:\n“I’m not going to sell  the house – not yet…”, and he laughed."

SAME = {
    "as it is": "not going to sell  the house",
    "other spaces": "not going to\tsell the house",
    "capitals": "NOT going to Sell the house",
    "plain marks": "I'm not going to sell the house - not yet...",
    "typographic marks": "“I’m not going to sell the house — not yet…”",
    "marks of another country": "«I’m not going to sell the house»",
    "single for double": "she said: 'I'm not going to sell the house",
    "an ellipsis after it": "I'm not going to sell…",
    "an ellipsis before it": "... going to sell the house",
    "a full stop of its own": "not going to sell the house.",
    "a space that cannot be broken": "not\u00a0going to sell the house",
    "wide letters": "ｎｏｔ　ｇｏｉｎｇ　ｔｏ sell",
    "what cannot be seen": "not go\u200bing\u2060 to\ufeff se\u00adll the house",
    "a direction": "\u202enot going to sell\u202c the house",
}

OTHER = {
    "a word left out": "I'm going to sell the house",
    "a word changed": "not going to leave the house",
    "an ellipsis inside": "I'm not going … the house",
    "dots inside": "I'm not going to ... the house",
    "another order": "the house not going to sell",
    "a letter of another alphabet": "not going to s\u0435ll the house",
    "a letter that looks alike": "not g\u03bfing to sell",
    "an accent": "not gòing to sell",
    "half a word before": "oing to sell the house",
    "half a word after": "not going to sell the hous",
    "words run together": "notgoing to sell the house",
    "words taken apart": "not go ing to sell",
    "something added": "not going to sell the house ever",
    "a hyphen": "not-going to sell the house",
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_words_are_found(name: str) -> None:
    found = find(SAME[name], TEXT)
    assert found is not None
    passage = TEXT[found.start : found.end]
    assert "going to" in " ".join(passage.split())
    assert folded(passage).text in folded(SAME[name]).text


@pytest.mark.parametrize("name", OTHER)
def test_other_words_are_not(name: str) -> None:
    assert find(OTHER[name], TEXT) is None


@pytest.mark.parametrize(
    ("quote", "text", "passage"),
    [
        ("he stopped at the shop", "She stopped at the shop. He stopped at the shop.", "He stopped at the shop"),
        ("5 apples", "15 apples and 5 apples", "5 apples"),
        ("15", "2015 and 15", "15"),
        ("art is", "heart is art is", "art is"),
        ("straße", "In der STRASSE", "STRASSE"),
        ("die strasse", "Die Straße hier", "Die Straße"),
        ("fine", "the ﬁne line", "ﬁne"),
        ("cafe\u0301", "im Café da", "Café"),
        ("caf\u00e9", "im Cafe\u0301 da", "Cafe\u0301"),
        ("ệ", "e\u0302\u0323", "e\u0302\u0323"),
        ("가나다", "오늘 가나다 했다", "가나다"),
        ("看奶奶", "今天我去了医院看奶奶", "看奶奶"),
        ("❤ you", "I ❤\ufe0f you", "❤\ufe0f you"),
        ("love ❤", "love ❤\ufe0f", "love ❤\ufe0f"),
        ("x" * 40, "x" * 100, "x" * 40),
        ("\u0301\u0323", "\u0301\u0323\u00a8\u30ab.", "\u0301\u0323"),
        ("\u0323\u0301 and", "\u0301\u0323 and more", "\u0301\u0323 and"),
        ("I love you", "I lo\u2800ve\u3164 you", "I lo\u2800ve\u3164 you"),
    ],
)
def test_the_passage_is_the_sources_own_text(quote: str, text: str, passage: str) -> None:
    found = find(quote, text)
    assert found is not None
    assert text[found.start : found.end] == passage


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("cafe", "im Café da"),
        ("cafe", "im Cafe\u0301 da"),
        ("stras", "In der Straße"),
        ("in zu\u0308", "in Zürich"),
        ("in zü", "in Zu\u0308rich"),
        ("가나", "오늘 가낙"),
        ("\u0301x", "e\u0301x"),
        ("he stopped", "she stopped"),
        ("", "something"),
        ("…", "something"),
    ],
)
def test_nothing_is_cut_in_two_to_be_found(quote: str, text: str) -> None:
    assert find(quote, text) is None


def test_a_text_of_nothing_that_can_be_seen_is_quoted_by_nothing() -> None:
    assert find("", " \n\u200b") == (0, 3)
    assert Text(" \n\u200b").substantial("")


@pytest.mark.parametrize("quote", ["she went home", "notwithstanding", "我今天去", "I am so", "a b c"])
def test_a_few_words_or_some_letters_are_enough(quote: str) -> None:
    assert Text(f"{quote} and {quote}").substantial(quote)


@pytest.mark.parametrize(
    "quote",
    [
        "she went",
        "yes",
        "I am",
        "我今",
        "a\u200b b\u200b",
        "\u200b \u200b \u200b \u200b",
        "",
        "— — ",
        "- - -",
        "… … … I",
        "? ! . the",
        "I, (am) …… !!!!!!",
        "「「「我」」」",
        "\u3164 \u3164 \u3164",
        "I \u2800 \u2800 \u2800",
    ],
)
def test_less_is_not(quote: str) -> None:
    assert not Text("something else altogether").substantial(quote)


@pytest.mark.parametrize(
    "quote", ["1 2 3", "… she went home …", "«αυτό ήταν όλο»", "「我今天去」", "هذا كل شيء", "नमस्ते मेरे दोस्त", "🙂🙂🙂🙂"]
)
def test_words_and_letters_of_any_script_are_enough(quote: str) -> None:
    assert Text("something else altogether").substantial(quote)


def test_punctuation_around_words_counts_where_the_source_has_it() -> None:
    assert Text("so ............ I left").substantial("............ I")
    assert not Text("and I left").substantial("............ I")


def test_a_text_says_something_if_it_has_a_letter_or_digit_that_can_be_seen() -> None:
    assert [one for one in ("a", " . 我", "٣", "🙂 ok", "ㄱ") if not says(one)] == []
    assert [one for one in ("", " .", "🙂", "\u200b", "\u2800", "\u3164\u115f\u1160\uffa0", "— …") if says(one)] == []


@pytest.mark.parametrize(("quote", "text"), [("ok", "ok"), ("ok", " OK. "), ("🙂", "🙂"), ("?", "?")])
def test_the_whole_of_a_short_text_is_enough(quote: str, text: str) -> None:
    assert Text(text).substantial(quote)
    assert find(quote, text) is not None


LETTERS = st.text("abcdeé ñßİﬁ.,'\"“–-…\n\t\u00a0\u200b今天אב", max_size=120) | st.text(max_size=120)


@settings(max_examples=400, deadline=None)
@given(LETTERS, st.data())
def test_what_is_found_folds_to_what_was_looked_for(text: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(text)))
    quote = data.draw(st.just(text[first : data.draw(st.integers(first, len(text)))]) | LETTERS)
    found = find(quote, text)
    if found is not None:
        assert 0 <= found.start <= found.end <= len(text)
        passage = folded(text[found.start : found.end]).text
        wanted = folded(quote).text
        assert passage in wanted
        # No more was passed over than what stands around words.
        assert not any(sign.isalnum() for sign in wanted.replace(passage, "", 1))


def _decorated(words: list[str], draw: st.DrawFn) -> str:
    space = st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", " \u200b", "\u3000"])
    mark = st.sampled_from(["", "\u200b", "\u00ad", "\u2060", "\ufeff", "\u200e"])
    form: st.SearchStrategy[Literal["NFC", "NFD", "NFKC", "NFKD"]] = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
    case: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([str.lower, str.upper, str.title])
    turned = [draw(mark) + unicodedata.normalize(draw(form), draw(case)(word)) for word in words]
    return "".join(f"{word}{draw(space)}" for word in turned).strip()


@st.composite
def decorated(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """Return words and the same words in other clothes, and what stands before and after them."""
    words = draw(st.lists(st.text("abcdeéñöüçàß", min_size=1, max_size=8), min_size=3, max_size=12))
    around = st.lists(st.text("qwxyz", min_size=1, max_size=5), max_size=5).map(" ".join)
    return _decorated(words, draw), _decorated(words, draw), draw(around), draw(around)


@settings(max_examples=300, deadline=None)
@given(decorated())
def test_words_are_found_in_any_clothes(given_: tuple[str, str, str, str]) -> None:
    there, quote, before, after = given_
    text = f"{before} {there} {after}"
    found = find(quote, text)
    assert found is not None
    assert folded(text[found.start : found.end]).text == folded(quote).text == folded(there).text


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("abcdefg", min_size=1, max_size=6), min_size=4, max_size=15), st.data())
def test_a_word_more_less_or_other_is_not_found(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    place = data.draw(st.integers(1, len(words) - 2))
    other = data.draw(st.sampled_from([[], ["zzz"], [words[place], "zzz"], ["…"], ["..."]]))
    changed = " ".join([*words[:place], *other, *words[place + 1 :]])
    assume(changed not in text)
    assert find(changed, text) is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("quote", "unit", "stands"),
    [
        ("ab " * 60 + "c", "ab ", False),
        ("a" * 199 + "b", "a", False),
        ("e" + "\u0301\u0323" * 90, "\u0301\u0323", True),
        ("\u0301" * 199, "\u0301", True),
        ("\u0301" * 20, "\u0301", False),
        ("\u0301" * 20 + "b", "\u0301", False),
        ("\u1161" * 20, "\u1161", False),
        ("- " * 99 + "x", "- ", False),
        ("ﷺ" * 20, "ﷺ", True),
    ],
)
def test_nothing_takes_longer_than_its_length(quote: str, unit: str, stands: bool) -> None:
    text = "e" + unit * (100_000 // len(unit))
    assert (find(quote, text) is not None) is stands


def test_the_bound_on_letters_is_what_it_says() -> None:
    assert weighs("x" * LEAST_CHARACTERS)
    assert not weighs("x" * (LEAST_CHARACTERS - 1))
