"""Opens the models that the settings name."""

from __future__ import annotations

from random import Random

from selo_dagster.llm.budgets.caps import budget_of
from selo_dagster.llm.protocol import LanguageModel
from selo_dagster.settings import Settings


def language_model(settings: Settings, random: Random, *, light: bool = False) -> LanguageModel:
    """Return the server that the settings name, else the extractive model. light: the lighter one, if one is named."""
    # Imported by the runs that ask, not by everybody who loads the definitions.
    if settings.llm_url is None or settings.llm_model is None:
        return _extractive()
    from selo_dagster.llm.openai_client import OpenAICompatibleModel

    return OpenAICompatibleModel(
        base_url=settings.llm_url,
        model=(settings.llm_light_model if light else None) or settings.llm_model,
        api_key=None if settings.llm_api_key is None else settings.llm_api_key.get_secret_value(),
        slots=settings.llm_slots,
        max_tokens=settings.llm_max_tokens,
        temperature=settings.llm_temperature,
        random=random,
    )


def cheaper_model(settings: Settings, random: Random) -> LanguageModel | None:
    """Return the model that is asked where a call of the usual one does not fit into a budget; None: it waits."""
    budget = budget_of(settings)
    if budget is None or budget.policy == "defer":
        return None
    return _extractive() if budget.policy == "extractive" else language_model(settings, random, light=True)


def _extractive() -> LanguageModel:
    from selo_dagster.llm.extractive import ExtractiveModel

    return ExtractiveModel()
