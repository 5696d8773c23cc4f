"""What steps ask of models is paid for out of the same budgets; without room a saga waits, and no try counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from selo_dagster.llm.budgets.bound import bound_of
from selo_dagster.llm.budgets.caps import Budget, Cap
from selo_dagster.llm.budgets.tables import spending_calls
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.extractive import ExtractiveModel
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.sagas import asking
from selo_dagster.sagas.catalogue.episode_generation import EPISODE_GENERATION
from selo_dagster.sagas.paying import try_again, waiting_for_room
from selo_dagster.sagas.tables import saga_attempts, saga_steps, sagas
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.store.engine import Store
from tests.llm.budgets import book
from tests.sagas.minds import an_island, model_that, narrate, rows, story
from tests.support.fakes import NOW, FakeModel

TOMORROW = datetime.fromisoformat("2026-11-24T00:00:00+00:00")
TYPE = EPISODE_GENERATION.name
ROOMY = Budget(Cap(1_000_000), Cap(1_000_000), Cap(1_000_000))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """A model that tells stories, ten tokens read and twenty written each."""
    return model_that(monkeypatch, episode=story())


@pytest.fixture
def driver(store: Store) -> Driver:
    """Ana's story is to be told."""
    return an_island(store)


def most_of(model: FakeModel, budget: Budget = ROOMY) -> int:
    """Return the tokens that the last call might have used."""
    bound = bound_of(model.asked[-1], budget.max_tokens)
    return bound.input + bound.output


def waits(store: Store) -> tuple[str, str | None, datetime | None]:
    with store.read() as connection:
        row = connection.execute(select(sagas)).one()
    return row.state, row.reason, row.next_attempt_at


def tries(store: Store) -> Counter[str]:
    """Return the tries of the steps that count."""
    with store.read() as connection:
        assert connection.execute(select(saga_attempts)).all() == []
        return Counter({row.step: row.attempts for row in connection.execute(select(saga_steps))})


def test_a_step_reserves_under_the_name_of_its_type_and_counts_what_was_used(
    driver: Driver, model: FakeModel, store: Store
) -> None:
    held: list[Any] = []

    async def looking(request: CompletionRequest) -> str:
        held.extend(rows(store, spending_calls))
        return await told(request)

    told, model.answering = model.answering, looking
    assert narrate(driver, ROOMY).done == [driver.saga_id]
    (call,) = held
    assert (call["kind"], call["user_id"], call["tokens"]) == (TYPE, "ana", most_of(model))
    assert rows(store, spending_calls) == []
    for whose in ("", TYPE, "ana"):
        line = book(store, ROOMY)[whose]
        assert (line.spent.tokens, line.calls) == (30, 1)
    assert model.asked[0].once


def test_without_a_budget_nothing_is_counted(driver: Driver, model: FakeModel, store: Store) -> None:
    assert narrate(driver, None).done == [driver.saga_id]
    assert set(book(store, ROOMY)) == {""}
    assert not model.asked[0].once


def test_without_room_today_it_waits_for_the_next_day_and_no_try_counts(
    driver: Driver, model: FakeModel, store: Store
) -> None:
    small = Budget(kind=Cap(2_000))
    report = narrate(driver, small)
    assert (report.passing, report.no_room) == ({driver.saga_id: TOMORROW}, {driver.saga_id})
    assert (model.asked, waits(store)) == ([], ("waiting", "budget", TOMORROW))
    assert tries(store)["narrate"] == 0
    assert narrate(driver, ROOMY, now=TOMORROW).done == [driver.saga_id]
    assert tries(store)["narrate"] == 1


def test_room_that_others_have_reserved_is_looked_for_again_soon(
    driver: Driver, model: FakeModel, store: Store
) -> None:
    with store.write() as connection:
        connection.execute(
            spending_calls.insert().values(
                owner="other", number=1, day=NOW.date(), user_id="ana", kind="daily", tokens=99_000, cost=0,
                lost_at=datetime.fromisoformat("2100-01-01T00:00:00+00:00"),
            )
        )  # fmt: skip
    narrate(driver, Budget(Cap(100_000)))
    state, reason, again_at = waits(store)
    assert (model.asked, state, reason) == ([], "waiting", "budget")
    assert again_at is not None
    assert again_at < NOW + timedelta(minutes=1)


def test_a_type_without_any_room_asks_for_none(driver: Driver, model: FakeModel, store: Store) -> None:
    spent = Budget(Cap(1_000), max_tokens=1_200)
    assert narrate(driver, spent).passing == {driver.saga_id: TOMORROW}
    assert (model.asked, set(book(store, spent))) == ([], {""})


def test_whoever_makes_room_lets_it_try_again(driver: Driver, model: FakeModel, store: Store) -> None:
    narrate(driver, Budget(Cap(2_000)))
    with store.write() as connection:
        assert waiting_for_room(connection) == {TYPE: 1}
        assert try_again(connection, NOW, kind="another") == 0
        assert try_again(connection, NOW, user="ben") == 0
        assert try_again(connection, NOW, kind=TYPE, user="ana") == 1
    assert narrate(driver, ROOMY).done == [driver.saga_id]
    assert len(model.asked) == 1


@pytest.mark.parametrize(("fault", "spent"), [("connection", False), ("server_error", True)])
def test_a_call_that_fails_counts_what_may_have_been_billed(
    driver: Driver, model: FakeModel, store: Store, fault: Any, spent: bool
) -> None:
    async def failing(_: CompletionRequest) -> str:
        raise ModelError(fault)

    model.answering = failing
    narrate(driver, ROOMY)
    assert rows(store, spending_calls) == []
    assert book(store, ROOMY)[TYPE].spent.tokens == (most_of(model) if spent else 0)


def test_an_answer_that_does_not_fit_is_corrected_only_if_there_is_room(
    driver: Driver, model: FakeModel, store: Store
) -> None:
    async def wrong(_: CompletionRequest) -> str:
        return "{}"

    model.answering, model.corrigible = wrong, True
    narrate(driver, ROOMY)
    assert (len(model.asked), book(store, ROOMY)[TYPE].calls) == (2, 2)
    tight = Budget(user=Cap(most_of(model) + 60))
    with store.write() as connection:
        connection.execute(update(sagas).values(next_attempt_at=NOW))
    narrate(driver, tight)
    assert (len(model.asked), book(store, tight)[TYPE].calls) == (3, 3)
    assert rows(store, spending_calls) == []


def test_the_extractive_model_takes_over_where_the_policy_says_so(
    driver: Driver, model: FakeModel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "cheaper_model", lambda *_: ExtractiveModel())
    assert narrate(driver, Budget(Cap(1_000), policy="extractive")).done == [driver.saga_id]
    assert model.asked == []
    told = {row["step"]: row["output"] for row in rows(store, saga_steps)}["narrate"]
    assert told["model"] == "extractive"
