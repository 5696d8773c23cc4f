"""What is quoted of a source as evidence: a piece of it as it stands there, long enough to say where it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from selo_dagster.llm.extractive.moments import Read
from selo_dagster.llm.extractive.wording import QUOTED_CHARACTERS
from selo_dagster.llm.quotes import LEAST_CHARACTERS, folded, parts, weighs

_LEAST_PIECE: Final = 2 * LEAST_CHARACTERS


def cited(read: Read, words: str = "") -> dict[str, str]:
    """Return a citation of a source. words: what is told of it, cut or not, where the quote begins if it can."""
    return citation(read.source.alias, read.text, words)


def each_cited(reads: Iterable[Read], words: str = "") -> list[dict[str, str]]:
    """Return a citation of each source."""
    return [cited(read, words) for read in reads]


def citation(alias: str, text: str, words: str = "") -> dict[str, str]:
    """Return a citation of a clean text."""
    return {"source": alias, "quote": _piece(text, words)}


def _piece(text: str, words: str) -> str:
    if len(text) <= QUOTED_CHARACTERS:
        return text
    told = words.removesuffix("…")
    at = text.find(told)
    if at >= 0 and told and not parts(text, at + len(told)) and weighs(folded(told).text):
        return told
    # Near the end there may be too little left to say where it comes from.
    begin = at if 0 < at <= len(text) - _LEAST_PIECE else 0
    end = min(begin + QUOTED_CHARACTERS, len(text))
    whole = next((place for place in range(end, begin, -1) if not parts(text, place)), end)
    # A link, or a key held down, has no better end than another.
    return text[begin : whole if whole - begin >= _LEAST_PIECE else end].strip()
