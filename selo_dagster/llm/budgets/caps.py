"""What may be spent in a day, as the settings say it, and by which models it may be spent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from selo_dagster.clock import UTC
from selo_dagster.llm.budgets.money import Price, nano, shown
from selo_dagster.llm.budgets.tables import FLEET, KIND, USER
from selo_dagster.llm.endpoint import endpoint_of
from selo_dagster.settings import Settings

Scope = Literal["fleet", "kind", "user"]
Unit = Literal["tokens", "cost"]
Policy = Literal["defer", "light", "extractive"]

SCOPES: Final[tuple[Scope, ...]] = (FLEET, KIND, USER)
UNITS: Final[tuple[Unit, ...]] = ("tokens", "cost")


@dataclass(frozen=True)
class Amount:
    """Tokens, and money in billionths."""

    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(self.tokens + other.tokens, self.cost + other.cost)

    def of(self, unit: Unit) -> int:
        """Return the amount in one unit."""
        return self.tokens if unit == "tokens" else self.cost

    def least(self, other: Amount) -> Amount:
        """Return the lesser of both, in each unit."""
        return Amount(min(self.tokens, other.tokens), min(self.cost, other.cost))

    def greatest(self, other: Amount) -> Amount:
        """Return the greater of both, in each unit."""
        return Amount(max(self.tokens, other.tokens), max(self.cost, other.cost))


@dataclass(frozen=True)
class Cap:
    """The most that may be spent in a day. None: as much as it takes."""

    tokens: int | None = None
    cost: int | None = None

    def of(self, unit: Unit) -> int | None:
        """Return the cap in one unit."""
        return self.tokens if unit == "tokens" else self.cost

    def limit(self, unit: Unit) -> int:
        """Return the cap in one unit that is bounded. Raises ValueError for one that is not."""
        found = self.of(unit)
        if found is None:
            raise ValueError(f"{unit} are not bounded")
        return found

    def exceeded_by(self, amount: Amount) -> Unit | None:
        """Return the first unit of which an amount is more than allowed."""
        for unit in UNITS:
            cap = self.of(unit)
            if cap is not None and amount.of(unit) > cap:
                return unit
        return None

    def without(self, percent: int) -> Cap:
        """Return what is left when a share is kept back."""
        kept = [None if cap is None else cap * (100 - percent) // 100 for cap in (self.tokens, self.cost)]
        return Cap(*kept)

    @property
    def given(self) -> bool:
        """Whether anything is bounded."""
        return self.tokens is not None or self.cost is not None


@dataclass(frozen=True)
class Budget:
    """The caps of a day and what a model costs. kind, user: of each of them; interactive_percent: of the fleet's cap.

    max_tokens: of one answer. policy: what is done where a call does not fit any more.
    """

    fleet: Cap = field(default_factory=Cap)
    kind: Cap = field(default_factory=Cap)
    user: Cap = field(default_factory=Cap)
    max_tokens: int = 1_200
    deep: Price = field(default_factory=Price)
    light: Price | None = None
    policy: Policy = "defer"
    interactive_percent: int = 0

    def cap(self, scope: Scope, *, interactive: bool = False) -> Cap:
        """Return the cap of a scope; what nobody just asked for leaves a share of the fleet's."""
        if scope == FLEET:
            return self.fleet if interactive else self.fleet.without(self.interactive_percent)
        return self.kind if scope == KIND else self.user

    def prices(self, *, light: bool = False) -> tuple[Price | None, ...]:
        """Return what a call costs by each model that may answer it, the usual one first; None: nothing.

        light: the lighter model is the usual one, where one is named.
        """
        usual = self.light if light and self.light is not None else self.deep
        if self.policy == "extractive":
            return usual, None
        if self.policy == "light" and self.light is not None and not light:
            return usual, self.light
        return (usual,)

    def least(self, price: Price) -> Amount:
        """Return what any call needs: its answer alone."""
        return Amount(self.max_tokens, price.cost(0, self.max_tokens))


def budget_of(settings: Settings) -> Budget | None:
    """Return the budget that the settings name; None where nothing is bounded, or nothing costs anything."""
    fleet = _cap(settings.budget_fleet_tokens, settings.budget_fleet_cost)
    kind = _cap(settings.budget_kind_tokens, settings.budget_kind_cost)
    user = _cap(settings.budget_user_tokens, settings.budget_user_cost)
    if endpoint_of(settings) is None or not (fleet.given or kind.given or user.given):
        return None
    light = (
        None
        if settings.llm_light_model is None
        else Price.of(settings.llm_light_input_price, settings.llm_light_output_price)
    )
    return Budget(
        fleet,
        kind,
        user,
        max_tokens=settings.llm_max_tokens,
        deep=Price.of(settings.llm_input_price, settings.llm_output_price),
        light=light,
        policy=settings.budget_policy,
        interactive_percent=settings.budget_interactive_percent,
    )


def _cap(tokens: int | None, cost: Decimal | None) -> Cap:
    return Cap(tokens, None if cost is None else nano(cost))


def day_of(now: datetime) -> date:
    """Return the day to whose budget an instant belongs: in UTC, one for the whole fleet."""
    return now.astimezone(UTC).date()


def next_day(day: date) -> datetime:
    """Return the instant at which the budget of the next day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


@dataclass(frozen=True)
class Over:
    """A cap that a call does not fit into. scope: whose; subject: the kind, or nothing; amounts in `unit`.

    needed: by the call, 0 where that is not known. until: when the next day begins.
    """

    scope: Scope
    subject: str
    unit: Unit
    cap: int
    spent: int
    needed: int
    until: datetime

    @property
    def sentence(self) -> str:
        """Say which cap is spent, without naming a person."""
        whose = {FLEET: "the fleet's", KIND: f"{self.subject}'s", USER: "this person's"}[self.scope]
        what = f"budget of {in_unit(self.unit, self.cap)} a day"
        used = f"{in_unit(self.unit, self.spent)} {'is' if self.unit == 'cost' else 'are'} spent"
        more = "a call may take more than is left"
        if self.needed:
            more = f"a call may take {in_unit(self.unit, self.needed)}"
        return f"{whose} {what} has no room: {used}, and {more}"


def in_unit(unit: Unit, amount: int) -> str:
    """Return an amount in words: tokens, or money in the currency of the prices."""
    return f"{amount} tokens" if unit == "tokens" else shown(amount)
