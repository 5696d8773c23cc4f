"""Money as whole numbers: billionths of whatever currency the prices are in, rounded up for each call."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

NANO: Final = 1_000_000_000
_PICO: Final = 1_000
"""Trillionths in a billionth."""


def nano(amount: Decimal) -> int:
    """Return an amount in billionths. Raises ValueError for one that is no whole number of them."""
    found = amount * NANO
    if found != int(found):
        raise ValueError("an amount has at most nine decimals")
    return int(found)


def shown(billionths: int) -> str:
    """Return an amount for people and programs, exact, with at least two decimals: "0.015", "12.00"."""
    sign = "-" if billionths < 0 else ""
    whole, rest = divmod(abs(billionths), NANO)
    decimals = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


@dataclass(frozen=True)
class Price:
    """What a token costs, in trillionths: a price for a million tokens in millionths. Zero where none is known."""

    input: int = 0
    output: int = 0

    @classmethod
    def of(cls, input_price: Decimal | None, output_price: Decimal | None) -> Price:
        """Return a price from what a million tokens cost, with at most six decimals."""
        return cls(_trillionths(input_price), _trillionths(output_price))

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Return what tokens cost, in billionths, rounded up."""
        return -(-(input_tokens * self.input + output_tokens * self.output) // _PICO)


def _trillionths(price: Decimal | None) -> int:
    return 0 if price is None else int(price * 1_000_000)
