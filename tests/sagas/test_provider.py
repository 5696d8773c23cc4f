"""While the model's server is gone, steps that ask it wait, and no try of theirs counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import func, select, update

from selo_dagster.clock import SystemClock
from selo_dagster.llm.breaker import FAILURES_TO_OPEN, Breaker, Standing, breaker_of
from selo_dagster.llm.errors import Fault, ModelError
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.llm.tables import CLOSED, OPEN, model_endpoints
from selo_dagster.sagas.catalogue.episode_generation import EPISODE_GENERATION
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.compiler import job_of
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.resource import LEASE, SagaLease
from selo_dagster.sagas.tables import saga_attempts, saga_steps, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.types import database_now
from tests.evaluation.reports import accept_configured
from tests.sagas.evolutions import asked
from tests.sagas.in_dagster import config, states
from tests.sagas.minds import drive, model_that, narrate, story
from tests.support.dagster import instance_of
from tests.support.fakes import FakeModel, add_person, say

SINCE = {"since": "2026-11-23T09:00:00Z"}
WHO = ("ana", "ben", "cleo")


class Provider:
    """A server that can be gone, three people whose story it is to tell, and the job that asks it."""

    def __init__(self, store: Store, instance: dg.DagsterInstance, model: FakeModel) -> None:
        self.store, self.instance, self.model = store, instance, model
        self.fault: Fault | None = None
        found = breaker_of(process_settings())
        assert found is not None
        self.breaker: Breaker = found

    def answer(self, request: CompletionRequest) -> dict[str, Any]:
        if self.fault is not None:
            raise ModelError(self.fault)
        return story()(request)

    def open(self) -> None:
        with self.store.write() as connection:
            for _ in range(FAILURES_TO_OPEN):
                self.breaker.failed(connection, "somebody")

    def standing(self) -> Standing:
        with self.store.read() as connection:
            return self.breaker.standing(connection)

    def run(self, saga: Saga = EPISODE_GENERATION, *, probe: bool = False) -> None:
        """Work on whoever waits, as if their time had come, and that of the next probe if asked for."""
        with self.store.write() as connection:
            connection.execute(update(sagas).values(next_attempt_at=None))
            if probe:
                connection.execute(update(model_endpoints).values(next_probe_at=database_now(-1)))
        job_of(saga).execute_in_process(
            instance=self.instance, run_config=config(), resources={LEASE: SagaLease()}, raise_on_error=False
        )

    def tries(self) -> tuple[int, int]:
        """Return the tries that count of the step that asks, and those that are written down."""
        with self.store.read() as connection:
            asked = select(func.coalesce(func.sum(saga_steps.c.attempts), 0)).where(saga_steps.c.step == "narrate")
            written = select(func.count()).select_from(saga_attempts)
            return int(connection.execute(asked).scalar_one()), connection.execute(written).scalar_one()


@pytest.fixture
def provider(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("SELO_LLM_URL", "http://model.example/v1")
    monkeypatch.setenv("SELO_LLM_MODEL", "told")
    process_settings.cache_clear()
    made: list[Provider] = []

    def answer(request: CompletionRequest) -> dict[str, Any]:
        return made[0].answer(request)

    model = model_that(monkeypatch, episode=answer)
    for who in WHO:
        add_person(store, who)
        say(store, who, "2026-11-23T09:10:00Z", "We rowed out to the island.", prefix=f"c-{who}")
        drive(store, EPISODE_GENERATION, SINCE, user=who, now=SystemClock().now())
    with instance_of(store) as instance:
        made.append(Provider(store, instance, model))
        yield made[0]


def test_they_wait_while_it_is_gone_and_go_on_when_it_is_back(provider: Provider, store: Store) -> None:
    provider.fault = "connection"
    provider.open()
    provider.run()
    assert provider.model.asked == []
    assert set(states(store).values()) == {"waiting"}
    with store.read() as connection:
        again = connection.execute(select(sagas.c.next_attempt_at)).scalars().all()
    assert all(at is not None and at > SystemClock().now() for at in again)
    for number in range(1, 5):
        provider.run(probe=True)
        assert len(provider.model.asked) == number
        assert set(states(store).values()) == {"waiting"}
        assert provider.tries() == (0, 0)
    assert provider.standing().probes == 4
    provider.fault = None
    provider.run(probe=True)
    assert states(store) == dict.fromkeys(WHO, "completed")
    assert provider.tries() == (len(WHO), 0)
    assert provider.standing().state != OPEN


def test_their_own_failures_open_it_and_what_opened_it_does_not_count(provider: Provider, store: Store) -> None:
    provider.fault = "overloaded"
    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN - 1):
            provider.breaker.failed(connection, "somebody")
    provider.run()
    assert provider.standing().state == OPEN
    assert set(states(store).values()) == {"waiting"}
    assert provider.tries() == (0, 0)


def test_an_answer_begins_the_counting_anew_and_a_refusal_of_one_request_opens_nothing(
    provider: Provider, store: Store
) -> None:
    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN - 1):
            provider.breaker.failed(connection, "somebody")
    provider.fault = "bad_request"
    provider.run()
    assert (provider.standing().state, provider.standing().failures) == (CLOSED, 0)
    assert provider.tries()[1] == len(WHO)


def test_an_answer_that_does_not_fit_is_an_answer(
    provider: Provider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN - 1):
            provider.breaker.failed(connection, "somebody")
    monkeypatch.setattr(provider, "answer", lambda _: {})
    add_person(store, "dora")
    say(store, "dora", "2026-11-23T09:10:00Z", "We rowed out to the island.", prefix="c-dora")
    driver = drive(store, EPISODE_GENERATION, SINCE, user="dora")
    assert narrate(driver, breaker=provider.breaker).passing
    assert (provider.standing().state, provider.standing().failures) == (CLOSED, 0)


@pytest.mark.filterwarnings("ignore::selo_dagster.settings.SmallBudgetWarning")
def test_what_the_built_in_model_answers_says_nothing_of_the_server(
    provider: Provider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_BUDGET_KIND_TOKENS", "1300")
    monkeypatch.setenv("SELO_BUDGET_POLICY", "extractive")
    process_settings.cache_clear()
    provider.open()
    provider.run(probe=True)
    assert (provider.model.asked, states(store)) == ([], dict.fromkeys(WHO, "completed"))
    assert (provider.standing().state, provider.standing().probe_due) == (OPEN, True)


def test_a_built_in_model_that_fails_says_nothing_of_the_server(provider: Provider, store: Store) -> None:
    with store.write() as connection:
        for _ in range(FAILURES_TO_OPEN - 1):
            provider.breaker.failed(connection, "somebody")
    provider.model.in_process = True
    provider.fault = "auth"
    provider.run()
    assert (provider.standing().state, provider.standing().failures) == (CLOSED, FAILURES_TO_OPEN - 1)
    assert provider.tries()[1] == len(WHO)


def test_a_step_that_asks_nothing_says_nothing_of_the_server(provider: Provider, store: Store) -> None:
    add_person(store, "dora")
    asked(store, "dora", SystemClock().now())
    provider.open()
    provider.run(PERSONA_EVOLUTION, probe=True)
    assert (provider.model.asked, states(store)["dora"]) == ([], "completed")
    assert (provider.standing().state, provider.standing().probe_due) == (OPEN, True)


def test_a_probe_that_asks_nothing_is_left_to_another(provider: Provider, store: Store) -> None:
    provider.open()
    with store.write() as connection:
        # Their time is over: they turn round before anything is asked.
        connection.execute(update(sagas).values(deadline_at=SystemClock().now()))
    provider.run(probe=True)
    assert provider.model.asked == []
    assert provider.standing().probe_due


def test_they_wait_until_an_evaluation_has_accepted_the_model_where_that_is_asked_for(
    provider: Provider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELO_EVAL_GATE", "1")
    process_settings.cache_clear()
    provider.run()
    assert provider.model.asked == []
    assert set(states(store).values()) == {"waiting"}
    assert provider.tries() == (0, 0)
    with store.read() as connection:
        again = connection.execute(select(sagas.c.next_attempt_at)).scalars().all()
    assert all(at is not None and at > SystemClock().now() + timedelta(seconds=200) for at in again)
    accept_configured(store, process_settings())
    provider.run()
    assert states(store) == dict.fromkeys(WHO, "completed")
