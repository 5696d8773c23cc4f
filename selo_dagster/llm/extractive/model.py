"""The model: a request in, a reflection out."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from selo_dagster.llm.extractive.actions import intentions_of
from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.insights import insights_of
from selo_dagster.llm.extractive.main_text import MainText
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
        """Answer a reflection request; its text always fits.

        Raises ValueError for another task, for a request without evidence, and for word bounds that it could not
        always keep: an upper one below 180, a lower one above 120, less than 40 between them.
        """
        begun = time.perf_counter()
        if request.task != "reflection":
            raise ValueError(f"the extractive model cannot do {request.task!r}, only 'reflection'")
        if not request.evidence:
            raise ValueError("no evidence")
        low, high = request.words
        if high < LEAST_HIGH or low > GREATEST_LOW or high - low < NARROWEST:
            raise ValueError(f"cannot always keep to {low} to {high} words")
        text = json.dumps(_document(request), ensure_ascii=False)
        return Completion(text, NAME, 0, 0, "stop", time.perf_counter() - begun)


def _document(request: CompletionRequest) -> dict[str, Any]:
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


def _no_theme(day: Day) -> str:
    return ("a quiet week" if day.request.kind == "weekly" else "a quiet day") if day.is_quiet else "this and that"
