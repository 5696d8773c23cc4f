"""Room is reserved before a call, counted after it, given back where it was lost: in every cap, or not at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, select, update

from selo_dagster.llm.budgets.calls import give_back
from selo_dagster.llm.budgets.caps import Amount, Budget, Cap, Over, next_day
from selo_dagster.llm.budgets.money import Price, nano
from selo_dagster.llm.budgets.reserving import WAITS, Granted
from selo_dagster.llm.budgets.standing import REFUSED_TO_CLOSE, gone
from selo_dagster.llm.budgets.tables import spending_calls, spending_people
from selo_dagster.llm.errors import ModelError
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.llm.budgets import answer, asked, book, end, granted, held, replies, tokens
from tests.support.fakes import NOW, add_person


@pytest.fixture(autouse=True)
def people(store: Store) -> None:
    """Two who can be asked about."""
    add_person(store, "ana")
    add_person(store, "ben")


def over(store: Store, budget: Budget, kind: str = "daily") -> Over | None:
    with store.read() as connection:
        return gone(connection, budget, kind, NOW)


class TestReserving:
    def test_what_a_call_may_use_is_held_until_what_it_used_is_known(self, store: Store) -> None:
        budget = tokens(fleet=1_000, kind=1_000, user=1_000)
        call = granted(store, budget, asked("a", 400))
        assert [held(store, budget, whose) for whose in ("", "daily", "ana")] == [(0, 400)] * 3
        end(store, call, answer(80, 7))
        assert [held(store, budget, whose) for whose in ("", "daily", "ana")] == [(87, 0)] * 3
        assert book(store, budget)["daily"].calls == 1

    @pytest.mark.parametrize("scope", ["fleet", "kind", "user"])
    def test_whichever_cap_has_no_room_holds_the_call_back_and_is_named(self, store: Store, scope: str) -> None:
        budget = tokens(**{scope: 1_000})
        end(store, granted(store, budget, asked("a", 900)), answer(880, 10))
        (reply,) = replies(store, budget, asked("b", 200))
        assert isinstance(reply, Over)
        assert (reply.scope, reply.unit, reply.cap, reply.spent, reply.needed) == (scope, "tokens", 1_000, 890, 200)
        assert reply.until == next_day(NOW.date())
        assert held(store, budget) == (890, 0)
        assert isinstance(replies(store, budget, asked("c", 110))[0], Granted)

    def test_other_kinds_and_people_have_budgets_of_their_own(self, store: Store) -> None:
        budget = tokens(kind=1_000, user=600)
        granted(store, budget, asked("a", 600))
        assert replies(store, budget, asked("b", 10))[0] is WAITS
        granted(store, budget, asked("c", 400, user="ben"))
        assert replies(store, budget, asked("d", 20, user="ben"))[0] is WAITS
        granted(store, budget, asked("e", 200, user="ben", kind="weekly"))

    def test_room_that_is_only_reserved_may_come_back_so_the_call_waits(self, store: Store) -> None:
        budget = tokens(fleet=1_000)
        first = granted(store, budget, asked("a", 800))
        assert replies(store, budget, asked("b", 300))[0] is WAITS
        end(store, first, answer(100, 10))
        granted(store, budget, asked("b", 300))

    def test_of_many_at_once_as_many_as_fit_have_room_in_their_order(self, store: Store) -> None:
        budget = tokens(fleet=1_000, user=500)
        wanted = [asked("a", 300), asked("b", 300), asked("c", 600, user="ben"), asked("d", 400, user="ben")]
        found = replies(store, budget, *wanted, asked("e", 300, user="ben"))
        assert [type(one).__name__ for one in found] == ["Granted", "Waits", "Over", "Granted", "Waits"]
        assert held(store, budget) == (0, 700)

    def test_the_next_day_begins_with_nothing_spent(self, store: Store) -> None:
        budget = tokens(fleet=1_000, user=1_000)
        end(store, granted(store, budget, asked("a", 1_000)))
        assert held(store, budget) == (1_000, 0)
        tomorrow = NOW + timedelta(hours=12)
        call = granted(store, budget, asked("b", 1_000), now=tomorrow)
        end(store, call, answer(5, 5))
        assert held(store, budget) == (1_000, 0)
        assert held(store, budget, now=tomorrow) == (10, 0)

    def test_what_was_just_asked_for_has_a_share_that_the_night_leaves(self, store: Store) -> None:
        budget = tokens(fleet=1_000, interactive_percent=20)
        end(store, granted(store, budget, asked("a", 800)))
        assert isinstance(replies(store, budget, asked("b", 20))[0], Over)
        granted(store, budget, asked("c", 200, interactive=True))

    def test_nobody_is_counted_where_people_are_not_bounded(self, store: Store) -> None:
        budget = tokens(fleet=1_000)
        end(store, granted(store, budget, asked("a", 500)), answer(50, 5))
        with store.read() as connection:
            assert connection.execute(select(spending_people)).all() == []

    def test_a_call_costs_a_few_statements_and_nothing_asked_costs_none(self, store: Store) -> None:
        budget = tokens(fleet=100_000, user=100_000)
        end(store, granted(store, budget, asked("a", 500)), answer(50, 5))
        sent: list[str] = []
        event.listen(store.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
        replies(store, budget)
        assert [one for one in sent if not one.startswith("BEGIN")] == []
        call = granted(store, budget, asked("b", 500))
        assert len([one for one in sent if not one.startswith("BEGIN")]) == 4
        sent.clear()
        end(store, call, answer(50, 5))
        assert len([one for one in sent if not one.startswith("BEGIN")]) == 3


class TestMoney:
    PRICE = Price.of(Decimal(1), Decimal(4))
    CHEAP = Price.of(Decimal("0.1"), Decimal("0.4"))

    def budget(self, cap: str, **more: object) -> Budget:
        return Budget(Cap(cost=nano(Decimal(cap))), max_tokens=10, deep=self.PRICE, **more)  # type: ignore[arg-type]

    def test_a_cap_of_money_is_held_to_the_billionth(self, store: Store) -> None:
        # 90 tokens read and 10 written: 90 + 40 millionths.
        budget = self.budget("0.00026")
        for owner in ("a", "b"):
            end(store, granted(store, budget, asked(owner, 100)))
        assert book(store, budget)[""].spent == Amount(200, 260_000)
        (reply,) = replies(store, budget, asked("c", 11))
        assert isinstance(reply, Over)
        assert reply.sentence.startswith("the fleet's budget of 0.00026 a day has no room: 0.00026 is spent")

    def test_the_light_model_is_asked_where_only_its_price_fits(self, store: Store) -> None:
        budget = self.budget("0.00015", light=self.CHEAP, policy="light")
        assert replies(store, budget, asked("a", 100))[0].model == 0  # type: ignore[union-attr]
        with store.write() as connection:
            give_back(connection, ["a"])
        end(store, granted(store, budget, asked("b", 100)))
        (reply,) = replies(store, budget, asked("c", 100))
        assert isinstance(reply, Granted)
        assert reply.call is not None
        assert (reply.model, reply.call.most.cost) == (1, 13_000)
        end(store, reply.call)
        assert isinstance(replies(store, budget, asked("d", 100))[0], Over)

    def test_the_extractive_model_is_always_there_and_reserves_nothing(self, store: Store) -> None:
        budget = self.budget("0.0002", policy="extractive")
        end(store, granted(store, budget, asked("a", 100)))
        assert replies(store, budget, asked("b", 100)) == [Granted(1, None)]
        assert book(store, budget)[""].reserved == Amount()
        assert over(store, budget) is None


class TestEnding:
    BUDGET = tokens(fleet=10_000, user=10_000)

    @pytest.mark.parametrize(
        ("error", "spent"),
        [
            (ModelError("connection"), 0),
            (ModelError("rate_limited"), 0),
            (ModelError("overloaded"), 0),
            (ModelError("connection", billed=1), 500),
            (ModelError("server_error"), 500),
            (ModelError("timeout"), 500),
            (asyncio.TimeoutError(), 500),
            (ValueError("a fault of ours"), 500),
        ],
        ids=lambda value: str(value) if isinstance(value, int) else f"{type(value).__name__} {value}",
    )
    def test_a_call_without_an_answer_counts_as_far_as_somebody_may_have_to_pay(
        self, store: Store, error: BaseException, spent: int
    ) -> None:
        end(store, granted(store, self.BUDGET, asked("a", 500)), error=error)
        assert [held(store, self.BUDGET, whose) for whose in ("", "daily", "ana")] == [(spent, 0)] * 3

    @pytest.mark.parametrize(("read", "written", "spent"), [(0, 0, 500), (120, 0, 130), (0, 4, 494), (120, 4, 124)])
    def test_what_a_server_does_not_say_counts_as_much_as_it_can_be(
        self, store: Store, read: int, written: int, spent: int
    ) -> None:
        end(store, granted(store, self.BUDGET, asked("a", 500)), answer(read, written))
        assert held(store, self.BUDGET) == (spent, 0)

    def test_what_a_server_used_beyond_its_bounds_is_counted_and_shown(self, store: Store) -> None:
        budget = tokens(fleet=600)
        end(store, granted(store, budget, asked("a", 500)), answer(490, 300))
        line = book(store, budget)[""]
        assert (line.spent.tokens, line.beyond, line.exceeded) == (790, 290, True)
        assert line.document["left"]["tokens"] == -190

    def test_an_answer_that_was_heard_stays_known_when_something_breaks_afterwards(self, store: Store) -> None:
        end(store, granted(store, self.BUDGET, asked("a", 500)), answer(40, 5), error=ModelError("connection"))
        assert held(store, self.BUDGET) == (45, 0)

    def test_lost_calls_are_given_back_and_told_beside_what_is_spent(self, store: Store) -> None:
        for number in (1, 2):
            granted(store, self.BUDGET, asked("a", 500, number=number))
        granted(store, self.BUDGET, asked("b", 300))
        with store.write() as connection:
            assert give_back(connection, ["a", "nobody"]) == 2
            assert give_back(connection, ["a"]) == 0
        assert held(store, self.BUDGET) == (0, 300)
        for whose in ("", "daily", "ana"):
            assert book(store, self.BUDGET)[whose].unheard.tokens == 1_000

    def test_a_call_whose_lease_has_ended_holds_no_room_and_is_swept_up(self, store: Store) -> None:
        budget = tokens(fleet=600)
        granted(store, budget, asked("a", 500))
        with store.write() as connection:
            connection.execute(update(spending_calls).values(lost_at=database_now(-1)))
        granted(store, budget, asked("b", 600))
        with store.write() as connection:
            assert give_back(connection) == 1
        assert held(store, budget) == (0, 600)

    def test_whoever_comes_back_after_all_is_counted(self, store: Store) -> None:
        budget = tokens(fleet=600)
        late = granted(store, budget, asked("a", 500))
        with store.write() as connection:
            give_back(connection, ["a"])
        end(store, granted(store, budget, asked("b", 500)))
        end(store, late, answer(200, 10))
        line = book(store, budget)[""]
        assert (line.spent.tokens, line.exceeded) == (710, True)


class TestGone:
    def test_a_cap_without_room_for_the_smallest_answer_closes_the_kind(self, store: Store) -> None:
        budget = tokens(kind=1_000)
        end(store, granted(store, budget, asked("a", 1_000)), answer(985, 5))
        assert over(store, budget) is None
        end(store, granted(store, budget, asked("b", 10)), answer(1, 1))
        found = over(store, budget)
        assert found is not None
        assert (found.scope, found.subject, found.spent) == ("kind", "daily", 992)
        assert over(store, budget, "weekly") is None

    def test_what_is_only_reserved_closes_nothing(self, store: Store) -> None:
        budget = tokens(fleet=1_000)
        granted(store, budget, asked("a", 1_000))
        assert over(store, budget) is None

    def test_one_large_call_that_was_refused_does_not_keep_the_small_from_asking(self, store: Store) -> None:
        budget = tokens(fleet=1_000)
        for number in range(REFUSED_TO_CLOSE - 1):
            assert isinstance(replies(store, budget, asked(f"a{number}", 1_001))[0], Over)
        assert over(store, budget) is None
        granted(store, budget, asked("b", 300))
        for number in range(REFUSED_TO_CLOSE - 1):
            replies(store, budget, asked(f"c{number}", 1_001))
        assert over(store, budget) is None
        replies(store, budget, asked("d", 1_100))
        found = over(store, budget)
        assert found is not None
        assert found.needed == 1_001

    def test_a_cap_that_is_raised_opens_what_it_had_closed(self, store: Store) -> None:
        budget = tokens(fleet=1_000)
        end(store, granted(store, budget, asked("a", 900)))
        for number in range(REFUSED_TO_CLOSE):
            replies(store, budget, asked(f"b{number}", 200))
        assert over(store, budget) is not None
        assert over(store, tokens(fleet=1_100)) is None

    def test_a_person_whose_own_budget_is_spent_closes_nothing_for_the_others(self, store: Store) -> None:
        budget = tokens(fleet=100_000, user=500)
        for number in range(REFUSED_TO_CLOSE + 1):
            assert isinstance(replies(store, budget, asked(f"a{number}", 501))[0], Over)
        assert over(store, budget) is None
