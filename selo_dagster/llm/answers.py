"""Answers of a model beside reflections: what was learned, what a conversation came to, a story. Strict and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Domain = Literal["knowledge", "preferences", "relationships", "feelings", "habits", "goals"]
DOMAINS: Final = get_args(Domain)

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Aliases = Annotated[list[Annotated[str, StringConstraints(max_length=20)]], Field(min_length=1, max_length=20)]


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


class Learning(Answer):
    """One thing learned of the person. evidence: aliases of the sources that it rests on."""

    text: Sentence
    domain: Domain
    confidence: Unit
    importance: Unit
    evidence: Aliases


class Learnings(Answer):
    """What is to be learned; none where nothing is."""

    learnings: Annotated[list[Learning], Field(max_length=5)]


class Summary(Answer):
    """What a conversation came to."""

    summary: Paragraph
    topics: Annotated[list[Short], Field(max_length=5)]


class Episode(Answer):
    """The story of a stretch of time. evidence: aliases of the sources that it tells of."""

    title: Title
    narrative: Story
    emotion: Short
    themes: Annotated[list[Short], Field(min_length=1, max_length=3)]
    importance: Unit
    evidence: Aliases


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
    evidence = found.get("properties", {}).get("evidence")
    if isinstance(evidence, dict):
        evidence["items"] = {"type": "string", "enum": aliases}
    return found
