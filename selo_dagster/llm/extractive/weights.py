"""Sums of weights under names."""

from __future__ import annotations


def heaviest(weights: dict[str, float]) -> list[str]:
    """Return the keys by weight; of equal ones the first met comes first."""
    return sorted(weights, key=lambda key: -weights[key])
