"""An event loop whose clock jumps: a call of two seconds takes two seconds of it, and none of ours."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import SelectorEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from selo_dagster.clock import Clock
from selo_dagster.llm.protocol import CompletionRequest
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.kind import Kind
from selo_dagster.store.engine import Store
from tests.support.fakes import FakeModel, by_the_book, limits, tools


class VirtualLoop(SelectorEventLoop):
    """Nothing is waited for but threads: while one works, time stands still."""

    def __init__(self) -> None:
        self._now = 0.0
        self._in_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Run in a thread, and let time stand still until it is done."""
        self._in_threads += 1
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self._in_threads -= 1

    def passing(self, timeout: float | None) -> float | None:
        """Return how long to wait in earnest; otherwise let the time pass."""
        if timeout is None or timeout <= 0:
            return timeout
        if self._in_threads:
            return None
        self._now += timeout
        return 0


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Wait for what is outside of the loop."""
        return super().select(self._loop.passing(timeout))


@dataclass(frozen=True)
class SlowModel:
    """Answers by the book after a fixed time."""

    seconds: float

    async def __call__(self, request: CompletionRequest) -> str:
        """Answer."""
        await asyncio.sleep(self.seconds)
        return await by_the_book(request)


def virtual_run(store: Store, kind: Kind, clock: Clock, *, call_s: float, slots: int) -> float:
    """Work one kind off in one run, with a server of known speed; returns the virtual seconds that it took."""
    loop = VirtualLoop()
    made = tools(store, FakeModel(SlowModel(call_s)), clock)
    given = limits(concurrency=slots, chunk=50, run_s=100_000.0)
    cohort = Cohort(kind, uuid4().hex, given, made, lambda _: None)
    try:
        loop.run_until_complete(cohort.run())
        return loop.time()
    finally:
        loop.close()
