"""How a cohort keeps a server's slots busy: a slot that is free is taken at once, by whoever is at hand."""

from __future__ import annotations

import asyncio

import pytest

from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections import cohort
from selo_dagster.store.engine import Store
from tests.support.fakes import FakeModel, by_the_book, people_with_a_day, run_cohort


@pytest.fixture(autouse=True)
def _nobody_looks_by_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever has to wait until somebody looks again would wait for an hour.
    monkeypatch.setattr(cohort, "STOP_POLL_S", 3600.0)


@pytest.mark.parametrize(("concurrency", "chunk"), [(6, 2), (6, 4), (4, 4), (2, 10)])
def test_all_slots_are_taken_before_the_first_call_has_ended(store: Store, concurrency: int, chunk: int) -> None:
    people_with_a_day(store, 2 * concurrency)
    busy = 0
    full = asyncio.Event()

    async def answering(request: CompletionRequest) -> str:
        nonlocal busy
        busy += 1
        if busy == concurrency:
            full.set()
        await full.wait()
        return await by_the_book(request)

    found = run_cohort(store, FakeModel(answering), concurrency=concurrency, chunk=chunk)
    assert [one.outcome for one in found] == ["done"] * 2 * concurrency
