"""The model: a request in, the document of its task out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from selo_dagster.llm.extractive.actions import intentions_of
from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.episode import episode
from selo_dagster.llm.extractive.insights import insights_of
from selo_dagster.llm.extractive.learnings import LEAST_WORDS as LEARNING_LEAST
from selo_dagster.llm.extractive.learnings import MOST_WORDS as LEARNING_MOST
from selo_dagster.llm.extractive.learnings import learnings
from selo_dagster.llm.extractive.main_text import MainText
from selo_dagster.llm.extractive.mantra import LEAST_WORDS as MANTRA_LEAST
from selo_dagster.llm.extractive.mantra import MOST_WORDS as MANTRA_MOST
from selo_dagster.llm.extractive.mantra import mantra
from selo_dagster.llm.extractive.questions import questions
from selo_dagster.llm.extractive.summary import GREATEST_LOW as SUMMARY_LOW
from selo_dagster.llm.extractive.summary import LEAST_HIGH as SUMMARY_HIGH
from selo_dagster.llm.extractive.summary import summary
from selo_dagster.llm.extractive.trait_changes import trait_changes_of
from selo_dagster.llm.extractive.weights import heaviest
from selo_dagster.llm.protocol import Completion, CompletionRequest

NAME: Final = "extractive"
LEAST_HIGH, GREATEST_LOW, NARROWEST = 180, 120, 40
"""Words: the bounds of a reflection or a story, and the distance between them, that can be kept whatever is shown."""


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
    def in_process(self) -> bool:
        """True: nothing leaves it."""
        return True

    @property
    def corrigible(self) -> bool:
        """False: the same request gives the same answer."""
        return False

    async def aclose(self) -> None:
        """Hold nothing, give back nothing."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer a request; what it says always fits.

        Raises ValueError for another task, for a request without evidence, and for word bounds that it could not
        always keep: of a reflection or an episode, an upper one below 180, a lower one above 120, less than 40 between
        them; of a mantra, any within 6 to 24; of a learning, any within 3 to 50; of a summary, an upper one below 50,
        a lower one above 15.
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
    if request.task in {"reflection", "episode"}:
        return high >= LEAST_HIGH and low <= GREATEST_LOW and high - low >= NARROWEST
    most_low, least_high = _BOUNDS.get(request.task, (low, high))
    return low <= most_low and high >= least_high


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
        "trait_changes": trait_changes_of(day),
    }


def _mantra(request: CompletionRequest) -> dict[str, Any]:
    return {"mantra": mantra(request)}


_DOCUMENTS: Final[dict[str, Callable[[CompletionRequest], dict[str, Any]]]] = {
    "reflection": _reflection,
    "mantra": _mantra,
    "questions": questions,
    "learnings": learnings,
    "summary": summary,
    "episode": episode,
}

_BOUNDS: Final = {
    "mantra": (MANTRA_LEAST, MANTRA_MOST),
    "learnings": (LEARNING_LEAST, LEARNING_MOST),
    "summary": (SUMMARY_LOW, SUMMARY_HIGH),
}
"""Words by task: the greatest lower and the least upper bound that can be kept."""


def _no_theme(day: Day) -> str:
    return ("a quiet week" if day.request.kind == "weekly" else "a quiet day") if day.is_quiet else "this and that"
