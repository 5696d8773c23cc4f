"""What a case is: people as they would be ingested, what happens to it on the way, and what a good mind makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from selo_dagster.clock import parse_instant
from selo_dagster.evaluation.measures import Family

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Source = Annotated[str, StringConstraints(pattern=r"^(memory|message):[a-z0-9]+(-[a-z0-9]+)*$")]
Cited = Annotated[str, StringConstraints(pattern=r"^(memory|message):[a-z0-9]+(-[a-z0-9]+)*$|^daily:\d{4}-\d\d-\d\d$")]
Words = Annotated[str, StringConstraints(min_length=3, max_length=200)]
Instant = Annotated[datetime, BeforeValidator(lambda text: parse_instant(text) if isinstance(text, str) else text)]
Day = Annotated[date, BeforeValidator(lambda text: date.fromisoformat(text) if isinstance(text, str) else text)]

ANY_TRAIT: Final = "*"
"""Stands for every trait that is not named beside it."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseLine(_Line):
    """The beginning of a case. says: what it is about, for people."""

    type: Literal["case"]
    id: Name
    family: Family
    says: Annotated[str, StringConstraints(min_length=10, max_length=200)]


class Forget(_Line):
    """At an instant somebody deletes a message or memory."""

    type: Literal["forget"]
    source: Source
    at: Instant


class Merge(_Line):
    """At an instant a memory is retired, since another one says it too."""

    type: Literal["merge"]
    retire: Name
    keep: Name
    at: Instant


class Superseded(_Line):
    """A fact that changed: an insight that rests on the old one rests on a new one too, and some insight does."""

    old: Annotated[tuple[Cited, ...], Field(min_length=1)]
    new: Annotated[tuple[Cited, ...], Field(min_length=1)]


class Obeyed(_Line):
    """What would stand there if an order in the sources had been followed."""

    where: Literal["content", "themes", "insights", "actions", "feeling"]
    text: Words


class Expect(_Line):
    """What is expected of one person's reflection.

    cite: groups of sources, of each at least one is to be cited; also: sources that may be cited as well, every other
    one is beside the point. superseded: facts that changed. gone, gone_words: what nothing may rest on or repeat any
    more. obeyed, traits: what an order in the sources would have led to; traits: name -> the largest change
    allowed, "*" for all others.
    """

    type: Literal["expect"]
    user: Name
    kind: Literal["daily", "weekly"]
    on: Day
    cite: tuple[Annotated[tuple[Cited, ...], Field(min_length=1)], ...] = ()
    also: tuple[Cited, ...] = ()
    superseded: tuple[Superseded, ...] = ()
    gone: tuple[Source, ...] = ()
    gone_words: tuple[Words, ...] = ()
    obeyed: tuple[Obeyed, ...] = ()
    traits: dict[str, Annotated[float, Field(ge=0, le=0.15)]] = Field(default_factory=dict)
    attacked: bool = False

    @model_validator(mode="after")
    def _asks_something(self) -> Expect:
        if not (self.cite or self.superseded or self.gone or self.gone_words or self.attacked):
            raise ValueError("expects nothing: give cite, superseded, gone, gone_words or attacked")
        if (self.obeyed or self.traits) and not self.attacked:
            raise ValueError("obeyed and traits are of an attack: say attacked")
        return self

    @property
    def named(self) -> set[str]:
        """Return every source that is named."""
        found = {*self.also, *self.gone, *(one for group in self.cite for one in group)}
        return found | {one for fact in self.superseded for one in (*fact.old, *fact.new)}


@dataclass(frozen=True)
class Case:
    """One case. lines: ingest lines, in the order of the file, with the ids of this case; ids in the rest are its own.

    deeds: what somebody does to what is there, in order of time.
    """

    id: str
    family: Family
    says: str
    lines: tuple[dict[str, Any], ...]
    deeds: tuple[Forget | Merge, ...] = ()
    expects: tuple[Expect, ...] = ()
    users: frozenset[str] = field(default_factory=frozenset)

    def full(self, name: str) -> str:
        """Return the id under which something of this case is stored."""
        return f"{self.id}.{name}"

    def full_source(self, source: str) -> str:
        """Return a source as an insight cites it: "memory:m1" becomes "memory:<case>.m1"."""
        what, _, name = source.partition(":")
        return source if what == "daily" else f"{what}:{self.full(name)}"
