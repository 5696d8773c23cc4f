"""What a kind of reflection is: everything that differs between kinds, as data and as parts that are plugged in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from sqlalchemy import ColumnElement, Connection

from selo_dagster.people.local_days import Zones

if TYPE_CHECKING:
    from selo_dagster.llm.protocol import Task
    from selo_dagster.reflections.answers import Answered
    from selo_dagster.reflections.claim import Claim
    from selo_dagster.reflections.context import Context, Material
    from selo_dagster.reflections.prompt import Prompt
    from selo_dagster.reflections.settle import Made, Nothing, Rejected

Lane = Literal["deep", "light", "none"]
"""Which model serves a kind: the one for reflections, a lighter one where the settings name one, or none."""


@dataclass(frozen=True)
class Enrolled:
    """What one look found. due, skipped: rows that are new in the ledger; too_old: those of them beyond the bound."""

    due: int = 0
    too_old: int = 0
    paused: int = 0
    waiting: int = 0
    bad_zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Horizon:
    """What a look ahead is asked. People on hold, by `free` (a condition on `users`), are left out."""

    now: datetime
    until: datetime
    catchup_days: int
    free: ColumnElement[bool]


@dataclass(frozen=True)
class Ahead:
    """People of one zone for whom a kind becomes due at `since`, and who have no row for it yet."""

    zone: str
    on: date
    since: datetime
    number: int


class Cadence(Protocol):
    """When a kind is due: the only place that turns time or a cause into rows of the ledger."""

    @property
    def dated(self) -> bool:
        """Whether its obligations are local dates; otherwise something causes them, and no date can be asked for."""
        ...

    @property
    def after(self) -> Kind | None:
        """The kind whose obligation of the same date is waited for."""
        ...

    def enrol(self, connection: Connection, kind: Kind, now: datetime, catchup_days: int) -> Enrolled:
        """Insert the rows that have become due, release those that waited. Idempotent."""
        ...

    def ahead(self, connection: Connection, kind: Kind, horizon: Horizon) -> list[Ahead]:
        """Return whom `enrol` will find up to the end of the horizon, by what is there to read now. Writes nothing."""
        ...

    def open_dates(self, zones: Zones, now: datetime, catchup_days: int) -> tuple[date, ...]:
        """Return the dates that are due by themselves for somebody with these zones, newest first."""
        ...

    def occurrence(self, on: date) -> date:
        """Return the date that a row of this kind would carry on `on`: the same, or the last one before it."""
        ...

    def since(self, zones: Zones, on: date) -> datetime | None:
        """Return the instant at which `on` is due for somebody; None: never lived."""
        ...

    def derived(
        self,
        connection: Connection,
        kind: Kind,
        wanted: Sequence[tuple[str, date]],
        zones: Mapping[str, Zones],
        now: datetime,
    ) -> dict[tuple[str, date], Answered]:
        """Say for existing people why there is no row on a date; `due` where the next look makes one."""
        ...


Recipe = Callable[["Gathering"], "dict[int, Material | Nothing]"]
"""Reads for a chunk of claims what each reflection rests on, by the id of the ledger's row."""


@dataclass(frozen=True)
class Gathering:
    """What every recipe is given. budget: characters of sources that one prompt may hold."""

    connection: Connection
    kind: Kind
    claims: Sequence[Claim]
    zones: Mapping[str, Zones]
    budget: int


@runtime_checkable
class Shape(Protocol):
    """What a kind makes: how it is asked for, read, checked and stored."""

    @property
    def task(self) -> Task | None:
        """What a model is asked for; None: no model is asked."""
        ...

    @property
    def checks(self) -> Sequence[object]:
        """Validators: what an answer, or what was computed, is held against. Never empty."""
        ...

    def schema(self, context: Context, aliases: tuple[str, ...]) -> dict[str, Any]:
        """Return the JSON Schema of one answer, every string and list bounded."""
        ...

    def judged(
        self, text: str, model: str, prompt: Prompt, context: Context, kind: Kind, new_id: Callable[[], str]
    ) -> Made | Rejected | Nothing:
        """Read and check a model's text."""
        ...

    def computed(self, context: Context, new_id: Callable[[], str]) -> Made | Nothing:
        """Make it without a model; only where `task` is None."""
        ...


@dataclass(frozen=True)
class Flavour:
    """What differs within a kind by its cause."""

    instructions: str
    words: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of reflection.

    asset, job, schedule: its names in Dagster. due, purpose: said to people. words: accepted words of the text,
    inclusive; word_tolerance: words by which an answer may miss them. upstream: assets it is made from. chain:
    kinds of one chain are one asset step. flavours: by the rule that caused a row.
    place: in the order of a night. priority: of its runs in Dagster's queue, higher first. on_settled: called in the
    transaction that finishes a row as done or unchanged, with the place in the stream up to which was read.
    """

    name: str
    asset: str
    job: str
    schedule: str
    due: str
    purpose: str
    cadence: Cadence
    recipe: Recipe
    shape: Shape
    instructions: str
    words: tuple[int, int]
    upstream: tuple[str, ...]
    word_tolerance: int = 20
    lane: Lane = "deep"
    chain: str | None = None
    place: int = 100
    priority: int = 0
    flavours: Mapping[str, Flavour] = field(default_factory=lambda: MappingProxyType({}))
    on_settled: Callable[[Connection, Claim, int | None], None] | None = None

    def caused_by(self, cause: Mapping[str, Any] | None) -> Kind:
        """Return this kind with the instructions and bounds that belong to a cause."""
        flavour = self.flavours.get(str((cause or {}).get("rule", "")))
        if flavour is None:
            return self
        return replace(self, instructions=flavour.instructions, words=flavour.words)
