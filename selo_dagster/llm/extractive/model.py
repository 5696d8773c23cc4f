"""The model: a request in, a reflection, a mantra or questions out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from selo_dagster.llm.extractive.actions import intentions_of
from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.insights import insights_of
from selo_dagster.llm.extractive.main_text import MainText
from selo_dagster.llm.extractive.mantra import LEAST_WORDS, MOST_WORDS, mantra
from selo_dagster.llm.extractive.questions import questions
from selo_dagster.llm.extractive.weights import heaviest
from selo_dagster.llm.protocol import Completion, CompletionRequest

NAME: Final = "extractive"
LEAST_HIGH, GREATEST_LOW, NARROWEST = 180, 120, 40
"""Words: the bounds of a text, and the distance between them, that can be kept whatever the evidence is."""


class ExtractiveModel:
    """A `LanguageModel` without a language model: no network, no chance, the same answer to the same request."""

    @property
    def name(self) -> str:
        """The name under which its reflections are stored."""
        return NAME

    @property
    def capacity(self) -> int | None:
        """None: rules need no server."""
        return None

    @property
    def corrigible(self) -> bool:
        """False: the same request gives the same answer."""
        return False

    async def aclose(self) -> None:
        """Hold nothing, give back nothing."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer a request; what it says always fits.

        Raises ValueError for another task, for a request without evidence, and for word bounds that it could not
        always keep: of a reflection, an upper one below 180, a lower one above 120, less than 40 between them; of a
        mantra, any within 6 to 24.
        """
        begun = time.perf_counter()
        if request.task not in _DOCUMENTS:
            raise ValueError(f"the extractive model cannot do {request.task!r}, only {', '.join(_DOCUMENTS)}")
        if not request.evidence:
            raise ValueError("no evidence")
        if not _can_keep(request):
            raise ValueError(f"cannot always keep to {request.words[0]} to {request.words[1]} words")
        text = json.dumps(_DOCUMENTS[request.task](request), ensure_ascii=False)
        return Completion(text, NAME, 0, 0, "stop", time.perf_counter() - begun)


def _can_keep(request: CompletionRequest) -> bool:
    low, high = request.words
    if request.task == "reflection":
        return high >= LEAST_HIGH and low <= GREATEST_LOW and high - low >= NARROWEST
    return request.task != "mantra" or (low <= LEAST_WORDS and high >= MOST_WORDS)


def _reflection(request: CompletionRequest) -> dict[str, Any]:
    day = Day(request)
    intentions = intentions_of(day)
    feelings = heaviest(day.feelings)[:3] or ["calm"]
    return {
        "content": MainText(day, intentions[0]).text(),
        "themes": day.themes or [_no_theme(day)],
        "insights": insights_of(day),
        "actions": [one.text for one in intentions],
        "emotional_state": {
            "primary": feelings[0],
            "intensity": day.intensity,
            "secondary": feelings[1:],
        },
        "trait_changes": [],
    }


def _mantra(request: CompletionRequest) -> dict[str, Any]:
    return {"mantra": mantra(request)}


_DOCUMENTS: Final[dict[str, Callable[[CompletionRequest], dict[str, Any]]]] = {
    "reflection": _reflection,
    "mantra": _mantra,
    "questions": questions,
}


def _no_theme(day: Day) -> str:
    return ("a quiet week" if day.request.kind == "weekly" else "a quiet day") if day.is_quiet else "this and that"
