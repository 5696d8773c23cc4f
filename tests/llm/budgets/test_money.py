"""Money is counted in whole numbers and rounded up, never lost in a fraction."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selo_dagster.llm.budgets.money import Price, nano, shown

counts = st.integers(0, 10_000_000)
prices = st.decimals(0, 1_000, places=6)


def test_an_amount_is_billionths_and_is_shown_exactly() -> None:
    assert nano(Decimal("2.5")) == 2_500_000_000
    assert [shown(amount) for amount in (0, 15_000_000, 12_000_000_000, 1, -2_500_000_000)] == [
        "0.00",
        "0.015",
        "12.00",
        "0.000000001",
        "-2.50",
    ]
    with pytest.raises(ValueError):
        nano(Decimal("0.0000000001"))


def test_a_price_is_of_a_million_tokens() -> None:
    price = Price.of(Decimal("0.15"), Decimal("0.60"))
    assert shown(price.cost(1_000_000, 1_000_000)) == "0.75"
    assert price.cost(1, 0) == 150
    assert Price.of(Decimal("0.000001"), None).cost(1, 500) == 1


@given(prices, prices, counts, counts)
def test_a_cost_is_less_than_a_billionth_too_much_and_never_too_little(
    read: Decimal, written: Decimal, read_tokens: int, written_tokens: int
) -> None:
    exact = (read_tokens * read + written_tokens * written) * 1_000
    assert exact <= Price.of(read, written).cost(read_tokens, written_tokens) < exact + 1
