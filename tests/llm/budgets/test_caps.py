"""Budgets come from the settings; what could bound nothing, or admit nothing, is refused when they are read."""

from __future__ import annotations

import warnings
from decimal import Decimal

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.llm.budgets.caps import Amount, Cap, Over, budget_of, day_of, next_day
from selo_dagster.llm.budgets.money import Price, nano
from selo_dagster.settings import SmallBudgetWarning, load_settings
from tests.support.fakes import NOW

MODEL = {"SELO_LLM_URL": "http://model.example/v1", "SELO_LLM_MODEL": "large"}
PRICES = {"SELO_LLM_INPUT_PRICE": "0.15", "SELO_LLM_OUTPUT_PRICE": "0.6"}
LIGHT = {"SELO_LLM_LIGHT_MODEL": "small"}
LIGHT_PRICES = {"SELO_LLM_LIGHT_INPUT_PRICE": "0.05", "SELO_LLM_LIGHT_OUTPUT_PRICE": "0.1"}


def fault(**environ: str) -> str:
    with pytest.raises(SeloError) as caught:
        load_settings(environ)
    return caught.value.message


def test_without_a_cap_and_without_a_server_there_is_no_budget() -> None:
    assert budget_of(load_settings(MODEL)) is None
    assert budget_of(load_settings({"SELO_BUDGET_FLEET_TOKENS": "100000"})) is None


def test_caps_and_prices_are_read_exactly() -> None:
    given = MODEL | PRICES | LIGHT | LIGHT_PRICES
    given |= {"SELO_BUDGET_USER_TOKENS": "60000", "SELO_BUDGET_FLEET_COST": "2.5", "SELO_BUDGET_POLICY": "light"}
    budget = budget_of(load_settings(given))
    assert budget is not None
    assert (budget.fleet, budget.kind, budget.user) == (Cap(cost=2_500_000_000), Cap(), Cap(60_000))
    deep, light = Price.of(Decimal("0.15"), Decimal("0.6")), Price.of(Decimal("0.05"), Decimal("0.1"))
    assert budget.prices() == (deep, light)
    assert budget.prices(light=True) == (light,)
    assert budget.least(deep) == Amount(1_200, nano(Decimal("0.00072")))


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SELO_BUDGET_FLEET_COST": "2.5"}, "SELO_LLM_INPUT_PRICE: is needed with a budget of money"),
        ({"SELO_BUDGET_USER_COST": "1", **PRICES, **LIGHT}, "SELO_LLM_LIGHT_INPUT_PRICE: is needed"),
        ({"SELO_BUDGET_POLICY": "light"}, "SELO_LLM_LIGHT_MODEL: is needed with SELO_BUDGET_POLICY light"),
        (LIGHT_PRICES, "SELO_LLM_LIGHT_MODEL: is needed with its prices"),
        ({"SELO_BUDGET_USER_TOKENS": "1200"}, "SELO_BUDGET_USER_TOKENS: 1200 never has room for a call"),
        ({"SELO_BUDGET_KIND_COST": "0.00072", **PRICES}, "SELO_BUDGET_KIND_COST: 0.00072 never has room for a call"),
        ({"SELO_BUDGET_FLEET_TOKENS": "0"}, "SELO_BUDGET_FLEET_TOKENS"),
        ({"SELO_BUDGET_FLEET_COST": "nan", **PRICES}, "SELO_BUDGET_FLEET_COST"),
        ({"SELO_LLM_INPUT_PRICE": "0.0000001"}, "SELO_LLM_INPUT_PRICE"),
        ({"SELO_BUDGET_POLICY": "stop"}, "SELO_BUDGET_POLICY"),
    ],
)
def test_what_cannot_work_is_refused_with_its_reason(environ: dict[str, str], said: str) -> None:
    assert said in fault(**MODEL, **environ)


def test_a_cap_without_room_for_a_full_context_is_warned_about() -> None:
    with pytest.warns(SmallBudgetWarning, match="SELO_BUDGET_USER_TOKENS: 13199 may have no room for a single call"):
        load_settings(MODEL | {"SELO_BUDGET_USER_TOKENS": "13199"})
    with pytest.warns(SmallBudgetWarning, match="SELO_BUDGET_FLEET_COST"):
        load_settings(MODEL | PRICES | {"SELO_BUDGET_FLEET_COST": "0.0025"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_settings(MODEL | PRICES | {"SELO_BUDGET_USER_TOKENS": "13200", "SELO_BUDGET_FLEET_COST": "0.00252"})


def test_a_share_of_the_fleets_budget_is_kept_for_what_was_just_asked_for() -> None:
    budget = budget_of(
        load_settings(MODEL | {"SELO_BUDGET_FLEET_TOKENS": "100000", "SELO_BUDGET_INTERACTIVE_PERCENT": "10"})
    )
    assert budget is not None
    assert budget.cap("fleet").tokens == 90_000
    assert budget.cap("fleet", interactive=True).tokens == 100_000


def test_a_day_is_one_in_utc() -> None:
    assert next_day(day_of(NOW)).isoformat() == "2026-11-24T00:00:00+00:00"


def test_a_sentence_names_the_cap_and_no_person() -> None:
    until = next_day(day_of(NOW))
    assert Over("fleet", "", "tokens", 1_000, 900, 150, until).sentence == (
        "the fleet's budget of 1000 tokens a day has no room: 900 tokens are spent, and a call may take 150 tokens"
    )
    assert Over("kind", "daily", "cost", 2_500_000_000, 2_490_000_000, 20_000_000, until).sentence == (
        "daily's budget of 2.50 a day has no room: 2.49 is spent, and a call may take 0.02"
    )
    assert Over("user", "", "tokens", 1_000, 900, 0, until).sentence == (
        "this person's budget of 1000 tokens a day has no room: 900 tokens are spent, "
        "and a call may take more than is left"
    )
