"""Whatever is asked, answered, broken off and lost, in any order: no cap is passed, and nothing stays reserved."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from selo_dagster.llm.budgets.calls import Call, give_back
from selo_dagster.llm.budgets.caps import Amount, Budget, Cap
from selo_dagster.llm.budgets.money import Price
from selo_dagster.llm.budgets.reserving import Granted
from selo_dagster.llm.budgets.tables import spending_calls
from selo_dagster.llm.errors import ModelError
from selo_dagster.store.engine import Store
from tests.llm.budgets import answer, asked, book, end, replies
from tests.support.fakes import NOW, add_person

PEOPLE, KINDS = ("ana", "ben", "cleo"), ("daily", "weekly")
BUDGET = Budget(Cap(2_000, 9_000_000), Cap(1_300), Cap(700, 4_000_000), max_tokens=10, deep=Price(2_000_000, 8_000_000))
CAPS = {"": BUDGET.fleet, **dict.fromkeys(KINDS, BUDGET.kind), **dict.fromkeys(PEOPLE, BUDGET.user)}
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_days = count()
"""A day for each example: they share a database."""


@dataclass(frozen=True)
class Ask:
    """Somebody asks for a call."""

    user: str
    kind: str
    most: int


@dataclass(frozen=True)
class End:
    """One of the calls under way ends. share: of its bound that it used."""

    how: Literal["answered", "unsaid", "billed", "refused", "lost"]
    which: int
    share: float


asks = st.builds(Ask, st.sampled_from(PEOPLE), st.sampled_from(KINDS), st.integers(11, 500))
ends = st.builds(
    End, st.sampled_from(["answered", "unsaid", "billed", "refused", "lost"]), st.integers(0, 9), st.floats(0, 1)
)


@pytest.fixture(autouse=True)
def people(store: Store) -> None:
    """Three who can be asked about."""
    for who in PEOPLE:
        add_person(store, who)


@FEW
@given(st.lists(st.one_of(asks, ends), max_size=25))
def test_r11_spent_and_reserved_are_never_more_than_a_cap(store: Store, steps: list[Ask | End]) -> None:
    number = next(_days)
    now = NOW.replace(year=2000 + number // 28, day=1 + number % 28)
    under_way: list[Call] = []
    spent = Amount()
    for place, step in enumerate(steps):
        if isinstance(step, Ask):
            wanted = asked(f"{number}/{place}", step.most, user=step.user, kind=step.kind)
            (reply,) = replies(store, BUDGET, wanted, now=now)
            if isinstance(reply, Granted) and reply.call is not None:
                under_way.append(reply.call)
        elif under_way:
            spent += _ended(store, under_way.pop(step.which % len(under_way)), step)
        for whose, line in book(store, BUDGET, now).items():
            assert CAPS[whose].exceeded_by(line.spent + line.reserved) is None, (whose, line)
    fleet = book(store, BUDGET, now)[""]
    assert fleet.spent == spent
    assert fleet.reserved == sum((call.most for call in under_way), Amount())
    with store.write() as connection:
        assert give_back(connection, [call.owner for call in under_way]) == len(under_way)
    with store.read() as connection:
        assert connection.execute(select(spending_calls)).all() == []


def _ended(store: Store, call: Call, step: End) -> Amount:
    """End a call; returns what it has to count."""
    if step.how == "lost":
        with store.write() as connection:
            assert give_back(connection, [call.owner]) == 1
        return Amount()
    if step.how == "refused":
        end(store, call, error=ModelError("connection"))
        return Amount()
    if step.how == "billed":
        end(store, call, error=ModelError("timeout"))
        return call.most
    if step.how == "unsaid":
        end(store, call, answer(0, 0))
        return call.most
    used = answer(1 + int(step.share * (call.bound.input - 1)), 1 + int(step.share * (call.bound.output - 1)))
    end(store, call, used)
    return call.used_by(used)
