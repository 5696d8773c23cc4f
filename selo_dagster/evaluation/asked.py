"""A model that is listened to: what it was asked, what that cost, and how calls failed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from selo_dagster.llm.errors import ModelError
from selo_dagster.llm.protocol import Completion, CompletionRequest, LanguageModel


@dataclass
class Heard:
    """What was heard of every model of an evaluation. faults: of calls that gave no answer, by class."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    faults: Counter[str] = field(default_factory=Counter)


@dataclass
class Listening:
    """A `LanguageModel` that passes everything on and counts it."""

    model: LanguageModel
    heard: Heard

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    @property
    def capacity(self) -> int | None:
        """As the model says."""
        return self.model.capacity

    @property
    def corrigible(self) -> bool:
        """As the model says."""
        return self.model.corrigible

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the model says of itself."""
        return getattr(self.model, name)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask the model. Raises what it raises."""
        self.heard.calls += 1
        try:
            completion = await self.model.complete(request)
        except ModelError as failed:
            self.heard.faults[failed.fault] += 1
            raise
        except asyncio.CancelledError:
            # Whoever asked did not wait longer.
            self.heard.faults["timeout"] += 1
            raise
        self.heard.input_tokens += completion.input_tokens
        self.heard.output_tokens += completion.output_tokens
        return completion

    async def aclose(self) -> None:
        """Close the model."""
        await self.model.aclose()
