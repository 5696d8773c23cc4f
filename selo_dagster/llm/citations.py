"""What a claim rests on: sources with a short quote of each, held against what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from selo_dagster.llm.quotes import Text
from selo_dagster.llm.trust.parts import parts_of
from selo_dagster.llm.trust.stand_ins import longest_piece

QUOTE_LIMIT: Final = 200
"""Characters of a quote that a model is asked for."""

LONGEST_QUOTE: Final = 400
"""Characters of a quote that is accepted: not every server holds to a schema's bounds."""

MOST_ASKED: Final = 8
MOST_CITATIONS: Final = 20
"""Citations of one claim: that a model is asked for, and that are kept where it gives more."""

EVIDENCE_MISSING: Final = "evidence_missing"
UNKNOWN_SOURCE: Final = "unknown_source"
QUOTE_MISSING: Final = "quote_missing"
QUOTE_TOO_SHORT: Final = "quote_too_short"
QUOTE_TOO_LONG: Final = "quote_too_long"
QUOTE_NOT_FOUND: Final = "quote_not_found"

HINTS: Final[Mapping[str, str]] = {
    EVIDENCE_MISSING: "each claim must cite at least one source",
    UNKNOWN_SOURCE: "cite only aliases that were shown",
    QUOTE_MISSING: "each citation must have a quote beside its source",
    QUOTE_TOO_SHORT: "a quote must have at least three words of its source",
    QUOTE_TOO_LONG: f"a quote must have at most {QUOTE_LIMIT} characters",
    QUOTE_NOT_FOUND: "each quote must stand in the text of the source that it names, word for word, nothing left out",
}
"""What a model is told of a citation that does not hold."""


@dataclass(frozen=True)
class Citation:
    """A citation as a model gave it. source: an alias; quote: None where it gave none."""

    source: str
    quote: str | None


@dataclass(frozen=True)
class Passage:
    """A citation that holds. quote: the source's own characters from `start` to `end`."""

    source: str
    quote: str
    start: int
    end: int

    def under(self, name: str) -> dict[str, Any]:
        """Return it as it is stored. name: what its alias stands for, as "memory:m1"."""
        return {"source": name, "quote": self.quote, "start": self.start, "end": self.end}


class Sources:
    """The texts under the aliases of one request. Each is prepared once, and only if a quote asks for it.

    told: those of them that were shown otherwise than they are stored. A quote is held against what is stored.
    """

    def __init__(self, texts: Mapping[str, str], told: Mapping[str, str] = MappingProxyType({})) -> None:
        self._texts = texts
        self._told = told
        self._ready: dict[str, Text] = {}
        self._ready_as_told: dict[str, Text] = {}

    def __contains__(self, alias: object) -> bool:
        """Tell whether an alias was shown."""
        return alias in self._texts

    def text_of(self, alias: str) -> str:
        """Return what a source says."""
        return self._texts[alias]

    def passage(self, cited: Citation) -> Passage | str:
        """Return where a citation stands, or the code of what is wrong with it."""
        if cited.source not in self._texts:
            return UNKNOWN_SOURCE
        if cited.quote is None:
            return QUOTE_MISSING
        if len(cited.quote) > LONGEST_QUOTE:
            return QUOTE_TOO_LONG
        text = _prepared(cited.source, self._texts, self._ready)
        if not text.substantial(cited.quote) and not self._is_all_that_was_told(cited):
            return QUOTE_TOO_SHORT
        found = text.find(cited.quote)
        if found is None:
            found = next(
                (at for piece in self._pieces(cited) if text.substantial(piece) and (at := text.find(piece))), None
            )
        if found is None:
            return QUOTE_NOT_FOUND
        return Passage(cited.source, text.text[found.start : found.end], found.start, found.end)

    def _pieces(self, cited: Citation) -> list[str]:
        """Return what may stand in the source of a quote that does not, the longest first.

        A model copies what it was shown: of that, what stands for a link or a secret is not in the source, and where an
        order was left out, sentences follow each other that do not there.
        """
        quote = str(cited.quote)
        whole = longest_piece(quote)
        told = self._as_told(cited.source)
        if told is None or told.find(quote) is None:
            return [whole]
        return [whole, *sorted((whole[begin:end] for begin, end in parts_of(whole)), key=len, reverse=True)]

    def _is_all_that_was_told(self, cited: Citation) -> bool:
        told = self._as_told(cited.source)
        return told is not None and told.substantial(str(cited.quote))

    def _as_told(self, alias: str) -> Text | None:
        return _prepared(alias, self._told, self._ready_as_told) if alias in self._told else None

    def held(self, citations: Iterable[Citation]) -> tuple[tuple[Passage, ...], tuple[str, ...]]:
        """Return the passages of citations that hold, each once, and the codes of those that do not."""
        passages: dict[Passage, None] = {}
        codes: dict[str, None] = {}
        for one in dict.fromkeys(citations):
            found = self.passage(one)
            if isinstance(found, str):
                codes[found] = None
            else:
                passages[found] = None
        if not passages and not codes:
            codes[EVIDENCE_MISSING] = None
        return tuple(passages)[:MOST_CITATIONS], tuple(codes)


def _prepared(alias: str, texts: Mapping[str, str], ready: dict[str, Text]) -> Text:
    text = ready.get(alias)
    if text is None:
        text = ready[alias] = Text(texts[alias])
    return text


def resting_on(passages: Iterable[Passage], named: Callable[[str], str]) -> dict[str, list[Any]]:
    """Return what a claim rests on as it is stored: the names of its sources, each once, and its passages.

    named: what an alias stands for, as "memory:m1".
    """
    citations = [one.under(named(one.source)) for one in passages]
    return {"evidence": list(dict.fromkeys(one["source"] for one in citations)), "citations": citations}


def citation_of(value: object) -> Citation | None:
    """Read one item of a model's evidence: {source, quote}, or an alias alone, which quotes nothing. None: neither."""
    if isinstance(value, str):
        return Citation(value, None)
    if not isinstance(value, dict):
        return None
    source, quote = value.get("source"), value.get("quote")
    if not isinstance(source, str) or not isinstance(quote, (str, type(None))):
        return None
    return Citation(source, None if quote is None else " ".join(quote.replace("\x00", " ").split()))


def citations_schema(aliases: Iterable[str], most: int) -> dict[str, Any]:
    """Return the JSON Schema of a list of citations in which only these aliases may be named."""
    cited = {
        "type": "object",
        "properties": {
            "source": {"type": "string", "enum": list(aliases)},
            "quote": {"type": "string", "minLength": 1, "maxLength": QUOTE_LIMIT},
        },
        "required": ["source", "quote"],
        "additionalProperties": False,
    }
    return {"type": "array", "items": cited, "minItems": 1, "maxItems": most}
