"""Builds what a cohort is given, from the settings."""

from __future__ import annotations

from random import Random, SystemRandom
from uuid import uuid4

from selo_dagster.clock import Clock
from selo_dagster.llm.protocol import LanguageModel
from selo_dagster.reflections.cohort import CohortLimits, Tools
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kinds import Kind
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store


def language_model(_settings: Settings) -> LanguageModel:
    """Return the model of this installation: the extractive one, which needs nothing."""
    # Imported by the runs that reflect, not by everybody who loads the definitions.
    from selo_dagster.llm.extractive import ExtractiveModel

    return ExtractiveModel()


def tools_for(store: Store, settings: Settings, clock: Clock, *, random: Random | None = None) -> Tools:
    """Return the tools of a run: real randomness and ids unless given."""
    return Tools(
        store=store,
        model=language_model(settings),
        clock=clock,
        random=random or SystemRandom(),
        new_id=lambda: uuid4().hex,
    )


def limits_for(settings: Settings, kind: Kind) -> CohortLimits:
    """Return the limits of a run of `kind`."""
    return CohortLimits(
        chunk=settings.chunk_size,
        concurrency=settings.llm_slots,
        lease_s=settings.lease_s,
        run_s=settings.run_timeout_s,
        context_characters=settings.context_characters,
        person=Limits(settings.call_timeout_s, settings.person_limit_s(kind.name)),
    )
