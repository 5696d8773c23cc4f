"""What the budgets leave a night: how much of each kind fits into the rest of a day, and by which model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from selo_dagster.llm.budgets.caps import UNITS, Amount, Budget, Scope, Unit, budget_of
from selo_dagster.llm.budgets.money import Price
from selo_dagster.llm.budgets.standing import lines
from selo_dagster.llm.budgets.tables import FLEET, KIND
from selo_dagster.operations.planning.measured import Measured
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.outage import asks, interactive
from selo_dagster.settings import Settings

Whose = tuple[Scope, str]
"""A scope and its subject: a kind's name, or nothing for the fleet."""

_NOTHING: Final = 1e-6
"""Of an obligation or of a unit: less is a rounding error of the arithmetic."""


@dataclass(frozen=True)
class Means:
    """The budget, and what of it is spent or reserved on the day on which a plan begins."""

    budget: Budget
    spent: Mapping[Whose, Amount] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, settings: Settings, now: datetime) -> Means | None:
        """Return what the settings allow; None where nothing is bounded."""
        budget = budget_of(settings)
        if budget is None:
            return None
        found = lines(connection, budget, now)
        return cls(budget, {(one.scope, one.subject): one.spent + one.reserved for one in found})


class Room:
    """The budgets of one night that is played through. Without means there is room for everything.

    A kind whose calls were never measured counts as free: what they take is not known. So do people's own caps, which
    no mean over a kind can tell.
    """

    def __init__(self, means: Means | None, costs: Mapping[str, Measured]) -> None:
        self._means = means
        self._costs = costs
        self._spent: dict[tuple[Whose, Unit], float] = {}
        self._models = dict.fromkeys(KINDS, 0)
        if means is not None:
            for whose, amount in means.spent.items():
                self._spent |= {(whose, unit): float(amount.of(unit)) for unit in UNITS}

    def renew(self) -> None:
        """Begin a day."""
        self._spent.clear()
        self._models = dict.fromkeys(KINDS, 0)

    def open(self, kind: str) -> bool:
        """Tell whether any more of a kind fits today, by whichever model the policy allows."""
        means = self._means
        if means is None or not self._counted(kind):
            return True
        light = KINDS[kind].lane == "light"
        while self._left(kind) <= _NOTHING:
            if self._models[kind] + 1 >= len(means.budget.prices(light=light)):
                return False
            self._models[kind] += 1
        return True

    def by_rules(self, kind: str) -> bool:
        """Tell whether what is left of a kind today is made without a model, as the policy `extractive` says."""
        means = self._means
        return means is not None and asks(KINDS[kind]) and self._price(means, kind) is None

    def use(self, kind: str, number: float) -> None:
        """Spend what a number of a kind takes."""
        for whose, unit, each in self._each(kind):
            self._spent[whose, unit] = self._spent.get((whose, unit), 0.0) + number * each

    def lasts(self, rates: Mapping[str, float]) -> float:
        """Return the seconds until some kind's room is used up; infinite where none will be.

        rates: obligations a second of each kind that is at work.
        """
        per_second: dict[tuple[Whose, Unit], float] = {}
        for kind, rate in rates.items():
            for whose, unit, each in self._each(kind):
                per_second[whose, unit] = per_second.get((whose, unit), 0.0) + rate * each
        found = math.inf
        for kind in rates:
            for whose, unit, each in self._each(kind):
                left = self._rest(kind, whose, unit)
                # What takes nothing of a unit does not end with it, while others go on to spend it.
                if left is not None and each:
                    found = min(found, left / per_second[whose, unit])
        return found

    def _left(self, kind: str) -> float:
        rests = [(self._rest(kind, whose, unit), each) for whose, unit, each in self._each(kind)]
        if any(rest is not None and rest < 0 for rest, _ in rests):
            return 0.0
        return min((rest / each for rest, each in rests if rest is not None and each), default=math.inf)

    def _rest(self, kind: str, whose: Whose, unit: Unit) -> float | None:
        means = self._means
        price = None if means is None else self._price(means, kind)
        if means is None or price is None:
            return None
        cap = means.budget.cap(whose[0], interactive=interactive(KINDS[kind])).of(unit)
        if cap is None:
            return None
        # A kind is closed for the day as soon as not even an answer would fit.
        rest = cap - means.budget.least(price).of(unit) - self._spent.get((whose, unit), 0.0)
        return 0.0 if abs(rest) < _NOTHING * max(1, cap) else rest

    def _each(self, kind: str) -> list[tuple[Whose, Unit, float]]:
        """Return what one obligation takes of each cap: whose it is, its unit, and how much."""
        means = self._means
        price = None if means is None or not self._counted(kind) else self._price(means, kind)
        if price is None:
            return []
        cost = self._costs[kind]
        read, written = cost.input_tokens or 0.0, cost.output_tokens or 0.0
        million = price.cost(round(read * 1e6), round(written * 1e6))
        amounts: dict[Unit, float] = {"tokens": cost.tokens, "cost": million / 1e6}
        whose: tuple[Whose, ...] = ((FLEET, ""), (KIND, kind))
        return [(one, unit, amounts[unit]) for one in whose for unit in UNITS]

    def _counted(self, kind: str) -> bool:
        return asks(KINDS[kind]) and self._costs[kind].tokens > 0

    def _price(self, means: Means, kind: str) -> Price | None:
        return means.budget.prices(light=KINDS[kind].lane == "light")[self._models[kind]]
