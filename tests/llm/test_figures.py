"""A number or time of a claim stands in what it rests on, or the claim is not kept; what cannot be told is let be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.figures import UNSOURCED_NUMBER, UNSOURCED_TIME, unsourced


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("She ran 5 km.", "I ran 5 km today"),
        ("She ran 5 km.", "I ran five kilometres"),
        ("Er lief 5 km.", "Ich bin fünf Kilometer gelaufen"),
        ("Elle a 3 chats.", "J'ai trois chats"),
        ("Tiene 2 hermanas.", "Tengo dos hermanas"),
        ("Her 2nd interview.", "My second interview!"),
        ("She saved 1000 euros.", "I saved 1,000 euros"),
        ("She saved 1.000 euros.", "I saved 1000 euros"),
        ("It took 3.5 hours.", "3.5 hours"),
        ("80% of it is done.", "80 % are done"),
        ("She wrote at 8:30 pm.", "20:30"),
        ("She wrote around 9 pm.", "2026-11-22 21:04"),
        ("At midnight, 12:05 am, she wrote.", "00:05"),
        ("On 22 November she wrote.", "Sunday 22 November 2026"),
        ("On 22/11/2026 she wrote.", "2026-11-22"),
        ("She is ٤٢ now.", "I am 42 now"),
        ("She has 22 of them.", "Ich habe zweiundzwanzig davon"),
        ("She has 22 of them.", "I have twenty-two of them"),
        ("She has 30 of them.", "我三十岁"),
        ("She ate 0.5 of it.", "I ate ½ of it"),
        ("One dog, 1 cat.", "a dog and a cat"),
        ("No number at all.", ""),
        ("She told me, “it was 123456…", "something"),
    ],
)
def test_what_was_shown_may_be_told(claim: str, text: str) -> None:
    assert unsourced(claim, [text]) is None


@pytest.mark.parametrize(
    ("claim", "text", "code"),
    [
        ("She called 3 times.", "I called and called", UNSOURCED_NUMBER),
        ("She ran 50 km.", "I ran 5 km", UNSOURCED_NUMBER),
        ("She ran 5 km.", "I ran 15 km", UNSOURCED_NUMBER),
        ("She is 37 now.", "I am 36 now", UNSOURCED_NUMBER),
        ("90% of it is done.", "80% are done", UNSOURCED_NUMBER),
        ("She saved 10,000 euros.", "I saved 1,000 euros", UNSOURCED_NUMBER),
        ("She wrote at 8:45 pm.", "20:30", UNSOURCED_TIME),
        ("She wrote at 7 pm.", "20:30", UNSOURCED_TIME),
        ("She wrote at 10:15.", "10:00 and 9:15", UNSOURCED_TIME),
        ("It is on 2026-12-24.", "It is soon", UNSOURCED_TIME),
        ("Es ist am 24.12.2026.", "Bald", UNSOURCED_TIME),
        ("Um 17 Uhr.", "Am Abend", UNSOURCED_TIME),
    ],
)
def test_what_a_model_made_up_may_not(claim: str, text: str, code: str) -> None:
    assert unsourced(claim, [text, "Ana", "Sunday 22 November 2026"]) == code


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=3))
def test_a_claim_that_is_copied_is_always_sourced(claim: str, others: list[str]) -> None:
    assert unsourced(claim, [*others, claim]) is None


def test_words_that_only_begin_like_a_number_decide_nothing() -> None:
    assert unsourced("It cost 40.", ["recently a patient of our family drank milk at the centre"]) is not None
