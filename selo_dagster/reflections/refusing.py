"""Refuses an answer for what none may hold, whatever kind it is of: the last line before it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from selo_dagster.llm.citations import Passage, Sources, citation_of
from selo_dagster.llm.trust.refusals import Quoted, refused_in, strings_of
from selo_dagster.reflections.prompt import Prompt
from selo_dagster.reflections.settle import Made, Nothing, Rejected


def refusing(result: Made | Rejected | Nothing, text: str, prompt: Prompt) -> Made | Rejected | Nothing:
    """Return what an answer was judged to be, or its refusal with a code for each thing that it may not hold.

    Looks at the whole answer, also at what its shape has dropped already, and at the passages that its quotes stand
    for: a passage is stored as its source has it, which may be written otherwise.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return result
    said = chain(strings_of(document), _passages(document, prompt.sources))
    codes = refused_in(said, (one.as_told for one in prompt.shown.values()))
    if not codes:
        return result
    if isinstance(result, Rejected):
        return Rejected((*result.codes, *codes), result.answer, result.words)
    return Rejected(codes, text, None if isinstance(result, Nothing) else result.words)


def _passages(document: Any, sources: Sources) -> Iterator[Quoted]:
    """Yield the passages of a document's citations that are not written as they are quoted."""
    left = [document]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            left += one.values()
            cited = citation_of(one)
            found = None if cited is None or cited.quote is None else sources.passage(cited)
            if isinstance(found, Passage) and found.quote != one["quote"]:
                yield Quoted(found.quote)
