"""Answers of a model beside reflections: what was learned, what a conversation came to, a story. Strict and bounded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from typing_extensions import Self

from selo_dagster.llm import figures
from selo_dagster.llm.citations import LONGEST_QUOTE, MOST_CITATIONS, Citation, Sources, citation_of, citations_schema

Beside = Callable[[Collection[str]], Iterable[str]]

Domain = Literal["knowledge", "preferences", "relationships", "feelings", "habits", "goals"]
DOMAINS: Final = get_args(Domain)

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PLAIN: Final = r"^[^\x00]*$"
"""Without the one character that PostgreSQL cannot store."""

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=PLAIN)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=PLAIN)]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400, pattern=PLAIN)]
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=PLAIN)]
Story = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=3000, pattern=PLAIN)]


class Answer(BaseModel):
    """Nothing unknown, nothing coerced, and no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def held(self, sources: Sources, beside: Beside) -> tuple[Self | None, tuple[str, ...]]:  # noqa: ARG002
        """Return the answer without what does not hold of it, and why, a code each; None: nothing of it holds.

        beside: returns for aliases what was shown beside their texts and may be told again, such as their times.
        """
        return self, ()


class Cited(Answer):
    """A source and a short quote of it. source: its alias; quote: None where there is none."""

    source: str
    quote: str | None = None

    @property
    def citation(self) -> Citation:
        """The same, to be held against the sources."""
        return Citation(self.source, self.quote)


def _cited(value: object) -> object:
    """Take a citation in any of the forms in which models give it; what does not hold is found out later."""
    found = citation_of(value)
    if found is None:
        return value
    return Cited(source=found.source[:20], quote=found.quote and found.quote[: LONGEST_QUOTE + 1])


Evidence = Annotated[list[Annotated[Cited, BeforeValidator(_cited)]], Field(min_length=1, max_length=MOST_CITATIONS)]


class Learning(Answer):
    """One thing learned of the person. evidence: the sources that it rests on, with a quote of each."""

    text: Sentence
    domain: Domain
    confidence: Unit
    importance: Unit
    evidence: Evidence

    def fault(self, sources: Sources, beside: Beside) -> str | None:
        """Return the code of what does not hold of it."""
        passages, codes = sources.held(one.citation for one in self.evidence)
        if codes:
            return codes[0]
        aliases = {one.source for one in passages}
        return figures.unsourced(self.text, chain(map(sources.text_of, aliases), beside(aliases)))


class Learnings(Answer):
    """What is to be learned; none where nothing is."""

    learnings: Annotated[list[Learning], Field(max_length=5)]

    def held(self, sources: Sources, beside: Beside) -> tuple[Self | None, tuple[str, ...]]:
        """Return it without the learnings that rest on nothing."""
        faults = [one.fault(sources, beside) for one in self.learnings]
        kept = [one for one, fault in zip(self.learnings, faults, strict=True) if fault is None]
        codes = tuple(fault for fault in faults if fault is not None)
        return (None if codes and not kept else self.model_copy(update={"learnings": kept})), codes


class Summary(Answer):
    """What a conversation came to."""

    summary: Paragraph
    topics: Annotated[list[Short], Field(max_length=5)]


class Episode(Answer):
    """The story of a stretch of time. evidence: the sources that it tells of, with a quote of each."""

    title: Title
    narrative: Story
    emotion: Short
    themes: Annotated[list[Short], Field(min_length=1, max_length=3)]
    importance: Unit
    evidence: Evidence

    def held(self, sources: Sources, beside: Beside) -> tuple[Self | None, tuple[str, ...]]:  # noqa: ARG002
        """Return it without the citations that do not hold: a story of many is told on by the others."""
        found = [sources.passage(one.citation) for one in self.evidence]
        kept = [one for one, passage in zip(self.evidence, found, strict=True) if not isinstance(passage, str)]
        codes = tuple(code for code in found if isinstance(code, str))
        return (self.model_copy(update={"evidence": kept}) if kept else None), codes


def schema_of(answer: type[Answer], aliases: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of an answer, without references, in which only these aliases may be cited."""
    whole = answer.model_json_schema()
    named = whole.pop("$defs", {})
    found: dict[str, Any] = _plain(whole, named, list(aliases))
    return found


def _plain(node: Any, named: dict[str, Any], aliases: list[str]) -> Any:
    if isinstance(node, list):
        return [_plain(one, named, aliases) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(named[node["$ref"].rsplit("/", 1)[-1]], named, aliases)
    found = {
        name: _plain(value, named, aliases)
        for name, value in node.items()
        if name not in {"title", "description", "pattern"} or not isinstance(value, str)
    }
    if "evidence" in found.get("properties", {}):
        found["properties"]["evidence"] = citations_schema(aliases, MOST_CITATIONS)
    return found
