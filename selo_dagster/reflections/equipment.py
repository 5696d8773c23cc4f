"""What a cohort is given: its bounds, and whatever it would otherwise reach for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from selo_dagster.clock import Clock
from selo_dagster.llm.breaker import Breaker
from selo_dagster.llm.budgets.caps import Budget
from selo_dagster.llm.protocol import LanguageModel
from selo_dagster.llm.trust.veil import Redaction
from selo_dagster.reflections.acceptance import Acceptance
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.settle import OnMade
from selo_dagster.store.engine import Store


@dataclass(frozen=True)
class CohortLimits:
    """chunk: rows claimed at once; per_person: of them of one person, where something causes them. concurrency: people
    at the same time. run_s: seconds until no more is claimed."""

    chunk: int
    per_person: int
    concurrency: int
    lease_s: float
    run_s: float
    context_characters: int
    person: Limits


@dataclass(frozen=True)
class Tools:
    """What the engine is given instead of reaching for it. on_made: asks for what follows from a reflection.

    breaker: of the model's endpoint, None where there is none. budget: None where nothing is bounded; cheaper: the
    model that is asked where its policy says so. redaction: what a model on a server is not to see. acceptance: what an
    evaluation has to have accepted.
    """

    store: Store
    model: LanguageModel
    clock: Clock
    random: Random
    new_id: Callable[[], str]
    on_made: OnMade | None = None
    monotonic: Callable[[], float] = time.monotonic
    breaker: Breaker | None = None
    budget: Budget | None = None
    cheaper: LanguageModel | None = None
    redaction: Redaction = "all"
    acceptance: Acceptance | None = None
