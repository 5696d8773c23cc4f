"""Refuses an answer for what none may hold, whatever kind it is of: the last line before it is stored."""

from __future__ import annotations

import json

from selo_dagster.llm.trust.refusals import refused_in, strings_of
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.settle import Made, Nothing, Rejected


def refusing(result: Made | Rejected | Nothing, text: str, prompt: Prompt) -> Made | Rejected | Nothing:
    """Return what an answer was judged to be, or its refusal with a code for each thing that it may not hold.

    Looks at the whole answer, also at what its shape has dropped already.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return result
    codes = refused_in(strings_of(document), (one.as_told for one in prompt.shown.values()))
    if not codes:
        return result
    if isinstance(result, Rejected):
        return Rejected((*result.codes, *codes), result.answer, result.words)
    return Rejected(codes, text, None if isinstance(result, Nothing) else result.words)
