"""Builds what a cohort is given, from the settings."""

from __future__ import annotations

from random import Random, SystemRandom
from uuid import uuid4

from selo_dagster.clock import Clock
from selo_dagster.llm.protocol import LanguageModel
from selo_dagster.reflections.cohort import CohortLimits, Tools
from selo_dagster.reflections.generate import Limits
from selo_dagster.reflections.kind import Kind, Lane
from selo_dagster.settings import Settings
from selo_dagster.store.engine import Store


def language_model(settings: Settings, random: Random, lane: Lane = "deep") -> LanguageModel:
    """Return the model of a lane: the server that the settings name, else the extractive one."""
    # Imported by the runs that reflect, not by everybody who loads the definitions.
    if settings.llm_url is None or settings.llm_model is None:
        from selo_dagster.llm.extractive import ExtractiveModel

        return ExtractiveModel()
    from selo_dagster.llm.openai_client import OpenAICompatibleModel

    return OpenAICompatibleModel(
        base_url=settings.llm_url,
        model=(settings.llm_light_model if lane == "light" else None) or settings.llm_model,
        api_key=None if settings.llm_api_key is None else settings.llm_api_key.get_secret_value(),
        slots=settings.llm_slots,
        max_tokens=settings.llm_max_tokens,
        temperature=settings.llm_temperature,
        random=random,
    )


def tools_for(store: Store, settings: Settings, clock: Clock, kind: Kind, *, random: Random | None = None) -> Tools:
    """Return the tools of a run of a kind: real randomness and ids unless given."""
    chance = random or SystemRandom()
    return Tools(
        store=store,
        model=language_model(settings, chance, kind.lane),
        clock=clock,
        random=chance,
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
