"""A model's answer that wishes for a change of the persona, so that a saga follows from the reflection."""

from __future__ import annotations

from selo_dagster.llm.protocol import CompletionRequest
from tests.support.fakes import good_answer

WISHES = [{"name": "empathy", "delta": 0.1, "reason": "she was sad"}]


async def wishing(request: CompletionRequest) -> str:
    """Answer with a wish to change."""
    return good_answer(request, trait_changes=WISHES)
