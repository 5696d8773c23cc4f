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
        ("It took 3,5 hours.", "3.50 hours"),
        ("It costs 12.50 euros.", "€ 12.5"),
        ("Version 2.0 is there.", "version 2 is there"),
        ("It costs 1234.56 euros.", "1.234,56 euros"),
        ("It costs 1.234,56 euros.", "1234.56 euros"),
        ("She ran 1.5 km.", "I ran one point five km"),
        ("She ran 1.5 km.", "I ran one and a half"),
        ("She said 1.2.3 is out.", "1.2.3 is out"),
        ("She told me, “it was 12.3…", "it was 12 something"),
        ("80% of it is done.", "80 % are done"),
        ("She wrote at 8:30 pm.", "20:30"),
        ("She wrote at 8:30pm.", "8:30 p.m."),
        ("She wrote at 20:30.", "8:30 pm"),
        ("She wrote at 20:30.", "at 8:30"),
        ("She wrote at 8:30.", "at 8:30am"),
        ("Um 8.30 Uhr schrieb sie.", "20:30"),
        ("At 0:05 she wrote.", "12:05 am"),
        ("At 12:05 she wrote.", "00:05"),
        ("Am 22.11. schrieb sie.", "2026-11-22"),
        ("Am 22.11 schrieb sie.", "11/22/2026"),
        ("Am 24.12. kommt sie.", "on 24/12"),
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
        ("She ran 1.5 km.", "I ran 5 km", UNSOURCED_NUMBER),
        ("Sie lief 1,5 km.", "Ich lief 5 km, 1 Stunde", UNSOURCED_NUMBER),
        ("She ran 1.2 km.", "I ran 1.5 km in 2 hours", UNSOURCED_NUMBER),
        ("It weighs 0.125 kg.", "It weighs 125 kg", UNSOURCED_NUMBER),
        ("It weighs 1.005 kg.", "It weighs 5 kg", UNSOURCED_NUMBER),
        ("She told me, “it was 7.5…", "something", UNSOURCED_NUMBER),
        ("She woke at 20:30.", "I woke at 8:30 am", UNSOURCED_TIME),
        ("She woke at 8:30 pm.", "I woke at 8:30 a.m.", UNSOURCED_TIME),
        ("She woke at 8:30am.", "I woke at 20:30", UNSOURCED_TIME),
        ("Sie schlief um 20.30.", "I woke at 8:30 am", UNSOURCED_TIME),
        ("Um 20 Uhr.", "I woke at 8:30 am", UNSOURCED_TIME),
        ("She slept at 12:05 pm.", "I slept at 0:05", UNSOURCED_TIME),
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


FIGURES = st.text("0123459٣.,:/-h apm…'\u00a0 [secret-1]", max_size=40)


@given(st.text(max_size=200) | FIGURES, st.lists(st.text(max_size=200) | FIGURES, max_size=3))
def test_a_claim_that_is_copied_is_always_sourced(claim: str, others: list[str]) -> None:
    assert unsourced(claim, [*others, claim]) is None


def test_words_that_only_begin_like_a_number_decide_nothing() -> None:
    assert unsourced("It cost 40.", ["recently a patient of our family drank milk at the centre"]) is not None
