"""Builds what a cohort is given, from the settings."""

from __future__ import annotations

from random import Random, SystemRandom
from uuid import uuid4

from selo_dagster.clock import Clock
from selo_dagster.llm.breaker import breaker_of
from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.llm.opening import cheaper_model, language_model
from selo_dagster.reflections.acceptance import acceptance_of
from selo_dagster.reflections.equipment import CohortLimits, Tools
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kind import Kind
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store


def tools_for(store: Store, settings: Settings, clock: Clock, kind: Kind, *, random: Random | None = None) -> Tools:
    """Return the tools of a run of a kind: real randomness and ids unless given."""
    # The sagas read what reflections store; only a run asks them for anything.
    from selo_dagster.sagas.downstream import Downstream
    from selo_dagster.sagas.registry import registry

    chance = random or SystemRandom()
    return Tools(
        store=store,
        model=language_model(settings, chance, light=kind.lane == "light"),
        clock=clock,
        random=chance,
        new_id=lambda: uuid4().hex,
        on_made=Downstream(registry(), settings),
        breaker=breaker_of(settings),
        budget=budget_of(settings),
        cheaper=cheaper_model(settings, chance),
        redaction=settings.redact,
        acceptance=acceptance_of(settings),
    )


def limits_for(settings: Settings, kind: Kind) -> CohortLimits:
    """Return the limits of a run of `kind`."""
    return CohortLimits(
        chunk=settings.chunk_size,
        per_person=settings.person_rows,
        concurrency=settings.llm_slots,
        lease_s=settings.lease_s,
        run_s=settings.run_timeout_s,
        context_characters=settings.context_characters,
        person=Limits(settings.call_timeout_s, settings.person_limit_s(kind.name)),
    )
