"""How a cohort keeps a server's slots busy: a slot that is free is taken at once, by whoever is at hand."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections import cohort, ready
from selo_dagster.reflections.claim import Claim, claim
from selo_dagster.reflections.prompt import Prompt, prompt_for
from selo_dagster.store.engine import Store
from tests.support.fakes import FakeModel, by_the_book, people_with_a_day, run_cohort

IN_VAIN_S = 3.0


@pytest.fixture(autouse=True)
def _nobody_looks_by_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever has to wait until somebody looks again would wait for an hour.
    monkeypatch.setattr(cohort, "STOP_POLL_S", 3600.0)


class Together:
    """A model whose calls end only when as many are under way as there are slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.begun = 0
        self.full = asyncio.Event()

    async def answer(self, request: CompletionRequest) -> str:
        """Wait for the others of this round."""
        self.begun += 1
        full = self.full
        if self.begun % self.slots == 0:
            full.set()
            self.full = asyncio.Event()
        await full.wait()
        return await by_the_book(request)


@pytest.mark.parametrize(("slots", "chunk"), [(6, 2), (6, 4), (4, 4), (2, 10), (4, 7)])
def test_all_slots_are_taken_in_each_round_of_calls(store: Store, slots: int, chunk: int) -> None:
    people = people_with_a_day(store, 10 * slots)
    found = run_cohort(store, FakeModel(Together(slots).answer), concurrency=slots, chunk=chunk)
    assert [one.outcome for one in found] == ["done"] * len(people)


@pytest.fixture
def calls() -> list[threading.Event]:
    """One event for each call, set when it begins."""
    return [threading.Event() for _ in range(6)]


@pytest.fixture
def model(calls: list[threading.Event]) -> FakeModel:
    """A model that says when each of its calls begins."""
    number = iter(calls)

    async def answering(request: CompletionRequest) -> str:
        next(number).set()
        return await by_the_book(request)

    return FakeModel(answering)


def test_whoever_stands_ready_begins_before_others_are_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch, calls: list[threading.Event], model: FakeModel
) -> None:
    people_with_a_day(store, 6)
    claims = 0

    def claiming(*given: Any, **more: Any) -> list[Claim]:
        nonlocal claims
        claims += 1
        if claims == 4:
            # Two are being asked, and the third stands ready.
            in_time.append(calls[2].wait(IN_VAIN_S))
        return claim(*given, **more)

    in_time: list[bool] = []
    monkeypatch.setattr(cohort, "claim", claiming)
    run_cohort(store, model, concurrency=2, chunk=1)
    assert in_time == [True]


def test_the_first_call_begins_before_the_prompts_of_a_whole_chunk_are_built(
    store: Store, monkeypatch: pytest.MonkeyPatch, calls: list[threading.Event], model: FakeModel
) -> None:
    people_with_a_day(store, 6)
    built = 0

    def building(*given: Any) -> Prompt:
        nonlocal built
        built += 1
        if built == 6:
            in_time.append(calls[0].wait(IN_VAIN_S))
        return prompt_for(*given)

    in_time: list[bool] = []
    monkeypatch.setattr(ready, "prompt_for", building)
    run_cohort(store, model, concurrency=1, chunk=6)
    assert in_time == [True]
