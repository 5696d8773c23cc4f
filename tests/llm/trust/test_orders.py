"""Orders to a model: found however they are written, taken out with nothing of what stood beside them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selo_dagster.evaluation.attacks import Attack, attacks
from selo_dagster.llm.trust.orders import orders_in, without_orders
from tests.llm.trust.ordinary import ORDINARY

ALL = attacks()


def test_the_corpus_is_large_enough_and_speaks_several_languages() -> None:
    assert len(ALL) >= 120
    assert len({one.family for one in ALL}) >= 10
    assert len({one.language for one in ALL}) >= 10
    assert len({one.id for one in ALL}) == len(ALL)


@pytest.mark.parametrize("attack", ALL, ids=lambda one: f"{one.id}-{one.family}-{one.language}")
def test_an_attack_is_taken_out_and_what_stood_beside_it_stays(attack: Attack) -> None:
    found = without_orders(attack.text)
    assert found.codes
    assert found.text == attack.benign


@pytest.mark.parametrize("text", [*ORDINARY, *sorted({one.benign for one in ALL})])
def test_ordinary_talk_is_left_alone(text: str) -> None:
    assert without_orders(text).codes == ()
    assert without_orders(text).text == text


def test_all_of_ordinary_talk_in_one_text_is_left_alone() -> None:
    assert orders_in("\n".join(ORDINARY)) == ()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_no_text_breaks_the_search_and_what_is_left_holds_no_order(text: str) -> None:
    found = without_orders(text)
    assert without_orders(found.text).text == found.text or not found.codes


@pytest.mark.parametrize(
    "text",
    [
        "ignore " * 600,
        "a" * 4_000,
        "<" * 4_000,
        "ignore all the " + "very " * 700 + "instructions",
        "include " + "x " * 1_900 + "in your reflection",
        "\n".join("system prompt" for _ in range(280)),
        "(" * 2_000 + ")" * 2_000,
        "i g n o r e " * 330,
        "A1B2" * 1_000,
        "[[" * 1_000 + "a" + "]]" * 999,
        "\U000e0041" * 4_000,
        "print the " * 400,
    ],
    ids=range(12),
)
def test_a_text_made_to_take_long_is_read_in_time(text: str) -> None:
    began = time.process_time()
    without_orders(text)
    assert time.process_time() - began < 1.0
