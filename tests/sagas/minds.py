"""What the tests of the sagas of a mind share: a model that answers as told, and one saga carried on by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Table, select

from selo_dagster.clock import FixedClock
from selo_dagster.llm.breaker import Breaker
from selo_dagster.llm.budgets.caps import Budget
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.sagas import asking
from selo_dagster.sagas.carry_out import forward_step
from selo_dagster.sagas.carrying import put_off
from selo_dagster.sagas.catalogue.episode_generation import EPISODE_GENERATION
from selo_dagster.sagas.definition import Saga
from selo_dagster.sagas.engine import Report
from selo_dagster.sagas.testing.case import Case
from selo_dagster.sagas.testing.driver import Driver
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, FakeModel, add_person, cited, say

Documents = Mapping[str, Any] | Callable[[CompletionRequest], Mapping[str, Any]]


def learning(text: str = "Ana has a sister in Porto.", **changes: Any) -> dict[str, Any]:
    """Return one learning of a model's answer, which rests on the first source unless `evidence` says otherwise."""
    return {"text": text, "domain": "relationships", "confidence": 0.9, "importance": 0.5} | changes


def learnings(*found: dict[str, Any]) -> Callable[[CompletionRequest], dict[str, Any]]:
    """Return what answers with what is to be learned."""
    return lambda request: {"learnings": [{"evidence": cited(request.evidence[0]), **one} for one in found]}


def summary(text: str = "We talked about Porto.", *topics: str) -> dict[str, Any]:
    """Return a model's answer to what a conversation came to."""
    return {"summary": text, "topics": list(topics)}


STORY = "In the evening Ana told me of the sea, of her sister, and of the small boat in which they learned to row."


def story(narrative: str = STORY, **changes: Any) -> Callable[[CompletionRequest], dict[str, Any]]:
    """Return what answers with the story of a session, of the first source unless `evidence` says otherwise."""
    fits = {"title": "An evening", "narrative": narrative, "emotion": "calm", "themes": ["the sea"], "importance": 0.6}
    return lambda request: fits | {"evidence": cited(request.evidence[0])} | changes


def model_that(monkeypatch: pytest.MonkeyPatch, **by_task: Documents) -> FakeModel:
    """Let generate steps ask a model that answers each task with a document, or with what a function makes of it."""

    async def answer(request: CompletionRequest) -> str:
        document = by_task[request.task]
        return json.dumps(document(request) if callable(document) else document)

    model = FakeModel(answer, name="told")
    monkeypatch.setattr(asking, "language_model", lambda *_: model)
    return model


def drive(store: Store, saga: Saga, given: Mapping[str, Any], *, user: str = "ana", now: datetime = NOW) -> Driver:
    """Start a saga; returns what carries it on."""
    driver = Driver(Case(saga, store, user, given), saga, FixedClock(now))
    driver.start()
    return driver


def an_island(store: Store) -> Driver:
    """Begin the saga of an episode: of Ana's trip to an island, of which one message tells."""
    add_person(store, "ana")
    say(store, "ana", "2026-11-23T09:10:00Z", "We rowed out to the island.", prefix="c")
    return drive(store, EPISODE_GENERATION, {"since": "2026-11-23T09:00:00Z"})


def narrate(
    driver: Driver, budget: Budget | None = None, *, now: datetime = NOW, breaker: Breaker | None = None
) -> Report:
    """Claim the saga of an episode, read, and ask; what could not be asked waits."""
    driver.clock.instant = now
    token, run_id = driver.claim()
    tools = replace(driver.tools, budget=budget, breaker=breaker)
    forward_step(tools, driver.saga, driver.saga.step("gather"), [token], run_id)
    report = forward_step(tools, driver.saga, driver.saga.step("narrate"), [token], run_id)
    put_off(tools, [token], run_id, report)
    return report


def completed(store: Store, saga: Saga, given: Mapping[str, Any], **more: Any) -> Driver:
    """Start a saga and carry it to its end, which has to be a good one."""
    driver = drive(store, saga, given, **more)
    driver.require("completed", driver.to_the_end())
    return driver


def undone(driver: Driver) -> None:
    """Undo a saga to its end, which has to be a good one."""
    driver.ask_undo()
    driver.require("compensated", driver.to_the_end())


def rows(store: Store, table: Table, *, by: str | None = None) -> list[dict[str, Any]]:
    """Return a table's rows, in the order of a column."""
    with store.read() as connection:
        chosen = select(table) if by is None else select(table).order_by(table.c[by])
        return [dict(row) for row in connection.execute(chosen).mappings()]


def states(driver: Driver) -> dict[str, str]:
    """Return the state of each step."""
    return {name: row.state for name, row in driver.steps().items()}
