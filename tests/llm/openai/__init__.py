"""The client of OpenAI-compatible servers, over real HTTP; here is how its tests ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from itertools import count
from random import Random
from typing import Any, TypeVar

from selo_dagster.llm.openai_client import OpenAICompatibleModel
from selo_dagster.llm.protocol import Completion, CompletionRequest, Evidence
from selo_dagster.reflections.answer import answer_schema
from tests.support.fault_server import FaultServer

T = TypeVar("T")
KEY = "sk-very-secret-key"
SECRET = "the harbour at Porto was foggy"
_names = count()


class SkippingTime:
    """A clock on which sleeping takes no time: what is slept is added to it. pauses: seconds, in order."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        """Return real seconds and those that were slept."""
        return time.monotonic() + sum(self.pauses)

    async def sleep(self, seconds: float) -> None:
        """Skip `seconds`."""
        self.pauses.append(seconds)


def new_name() -> str:
    """Return a model's name that no test has used: what is learnt of a server is kept per name."""
    return f"scripted-{next(_names)}"


def said(*texts: str) -> tuple[Evidence, ...]:
    """Return messages of the person under aliases from m1 on."""
    at = datetime(2026, 11, 22, 21, 4, tzinfo=timezone.utc)
    return tuple(
        Evidence(f"m{number}", "message", "user", text, at, "21:04") for number, text in enumerate(texts, start=1)
    )


def question(*texts: str, **changes: Any) -> CompletionRequest:
    """Return a request over messages of one person."""
    evidence = said(*(texts or (SECRET, "I want to go again")))
    values: dict[str, Any] = {
        "task": "reflection",
        "kind": "daily",
        "instructions": "Reflect on the day.",
        "subject": "Ana",
        "covers": "Sunday 22 November 2026",
        "evidence": evidence,
        "schema": answer_schema(tuple(one.alias for one in evidence)),
        "words": (70, 200),
        "deadline_s": 10.0,
    }
    return CompletionRequest(**(values | changes))


def model_for(server: FaultServer | str, **changes: Any) -> OpenAICompatibleModel:
    """Return a model at a server or an address; pauses take no time unless told otherwise."""
    skipping = SkippingTime()
    values: dict[str, Any] = {
        "base_url": server if isinstance(server, str) else server.url,
        "model": new_name(),
        "api_key": KEY,
        "slots": 8,
        "max_tokens": 1_200,
        "temperature": 0.35,
        "random": Random(7),
        "monotonic": skipping.monotonic,
        "sleep": skipping.sleep,
    }
    return OpenAICompatibleModel(**(values | changes))


def using(model: OpenAICompatibleModel, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in an event loop of its own and close the model there."""

    async def run() -> T:
        try:
            return await work()
        finally:
            await model.aclose()

    return asyncio.run(run())


def ask(model: OpenAICompatibleModel, request: CompletionRequest | None = None) -> Completion:
    """Ask once."""
    return using(model, lambda: model.complete(request or question()))


def ask_at_once(model: OpenAICompatibleModel, number: int) -> list[Completion | BaseException]:
    """Ask `number` times at the same time."""

    async def gather() -> list[Completion | BaseException]:
        return await asyncio.gather(*(model.complete(question()) for _ in range(number)), return_exceptions=True)

    return using(model, gather)
