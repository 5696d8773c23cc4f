"""While a saga waits for room in a budget or for its model, no time passes for its deadline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from selo_dagster.llm.breaker import FAILURES_TO_OPEN, Breaker
from selo_dagster.llm.budgets.caps import Budget, Cap
from selo_dagster.llm.endpoint import endpoint_at
from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.llm.tables import model_endpoints
from selo_dagster.sagas.catalogue.episode_generation import EPISODE_GENERATION
from selo_dagster.sagas.paying import try_again
from selo_dagster.sagas.states import COMPENSATE, FORWARD
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.sagas.minds import an_island, model_that, narrate, story
from tests.support.fakes import NOW, FakeModel

SMALL, ROOMY = Budget(kind=Cap(2_000)), Budget(kind=Cap(1_000_000))
BREAKER = Breaker(endpoint_at("http://model.example/v1"), 4)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("model")
DEADLINE = NOW + timedelta(seconds=EPISODE_GENERATION.deadline_s)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """A model that tells stories."""
    return model_that(monkeypatch, episode=story())


@pytest.fixture
def driver(store: Store) -> Driver:
    """Ana's story is to be told, within a day."""
    return an_island(store)


def due(driver: Driver) -> tuple[Any, Any]:
    row = driver.row()
    return row.deadline_at, row.waits_since


def opened(store: Store) -> None:
    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN):
            BREAKER.failed(connection, "somebody")


def probe_due(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(model_endpoints).values(next_probe_at=database_now(-1)))


def test_days_without_room_end_no_saga(driver: Driver) -> None:
    now = NOW
    for _ in range(3):
        assert narrate(driver, SMALL, now=now).no_room == {driver.saga_id}
        assert due(driver) == (DEADLINE + (now - NOW), now)
        now += DAY
    assert narrate(driver, ROOMY, now=now).done == [driver.saga_id]
    assert due(driver) == (DEADLINE + 3 * DAY, None)


def test_an_outage_of_days_ends_no_saga(driver: Driver, store: Store) -> None:
    opened(store)
    for days in range(3):
        assert narrate(driver, now=NOW + days * DAY, breaker=BREAKER).held_up == {driver.saga_id}
        # It has not asked yet: the wait is the one that began on the first day.
        assert due(driver) == (DEADLINE, NOW)
    probe_due(store)
    assert narrate(driver, now=NOW + 3 * DAY, breaker=BREAKER).done == [driver.saga_id]
    assert due(driver) == (DEADLINE + 3 * DAY, None)


def test_a_failed_probe_waits_as_the_others_do(driver: Driver, model: FakeModel, store: Store) -> None:
    opened(store)
    probe_due(store)
    model.answering = _gone
    assert narrate(driver, now=NOW + HOUR, breaker=BREAKER).held_up == {driver.saga_id}
    assert due(driver) == (DEADLINE, NOW + HOUR)


def test_whoever_waits_for_no_longer_has_no_more_time(driver: Driver, store: Store) -> None:
    narrate(driver, SMALL)
    with store.write() as connection:
        assert try_again(connection, NOW + HOUR) == 1
    assert narrate(driver, ROOMY, now=NOW + HOUR).done == [driver.saga_id]
    assert due(driver) == (DEADLINE + HOUR, None)


def test_time_passes_while_it_waits_for_another_try_of_its_own(driver: Driver, model: FakeModel) -> None:
    narrate(driver, SMALL)
    model.answering = _gone
    assert narrate(driver, ROOMY, now=NOW + 2 * DAY).held_up == set()
    assert (driver.row().state, due(driver)) == ("waiting", (DEADLINE + 2 * DAY, None))
    late = DEADLINE + 2 * DAY + timedelta(seconds=1)
    assert narrate(driver, ROOMY, now=late).broken == {driver.saga_id: "deadline"}
    assert driver.row().direction == COMPENSATE


def test_whose_deadline_had_passed_before_it_waited_goes_back(driver: Driver, model: FakeModel, store: Store) -> None:
    model.answering = _gone
    narrate(driver)
    opened(store)
    assert narrate(driver, now=DEADLINE + HOUR, breaker=BREAKER).held_up == {driver.saga_id}
    report = narrate(driver, now=DEADLINE + DAY)
    assert (report.broken, due(driver)[1]) == ({driver.saga_id: "deadline"}, None)


def test_whoever_lets_it_try_again_leaves_it_its_deadline_and_its_wait(driver: Driver) -> None:
    narrate(driver, SMALL)
    driver.clock.instant = NOW + 2 * DAY
    driver.retry()
    assert (driver.row().direction, due(driver)) == (FORWARD, (DEADLINE, NOW))
    assert narrate(driver, ROOMY, now=NOW + 2 * DAY).done == [driver.saga_id]


async def _gone(_: CompletionRequest) -> str:
    raise ModelError("connection")
