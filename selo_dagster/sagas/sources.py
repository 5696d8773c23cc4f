"""Sources on their way through a saga: read in one step, shown to a model under aliases in another, cited by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, select

from selo_dagster.errors import SeloError
from selo_dagster.llm.protocol import Evidence
from selo_dagster.people.history import is_zone
from selo_dagster.people.tables import users
from selo_dagster.people.zones import local_date, local_label
from selo_dagster.reflections.context import Source, cut
from selo_dagster.reflections.standing import standing
from selo_dagster.sagas.handed import Handed

NO_ZONE: Final = "UTC"
"""Where somebody is taken to live whose stored zone is none: a label is no reason to give a saga up."""


class ReadSource(Handed):
    """One source as a step has read it. name: `message:ID`; local: its date and time where the person lives.

    told, tainted: as in `reflections.context.Source`.
    """

    name: str
    text: str
    at: datetime
    local: str
    source: Literal["message", "memory", "reflection", "context", "event"]
    role: Literal["user", "assistant", "system"] | None = None
    importance: float | None = None
    tags: tuple[str, ...] = ()
    kind: str | None = None
    told: str | None = None
    tainted: bool = False

    @property
    def as_told(self) -> str:
        """The text as it may be shown."""
        return self.text if self.told is None else self.told


class Quoted(Handed):
    """A passage of a source: its characters from `start` to `end`. source: `message:ID`."""

    source: str
    quote: str
    start: int
    end: int


class Person(Handed):
    """Whom it is about. name: as they are called."""

    name: str
    zone: str


def person_of(connection: Connection, user_id: str) -> Person:
    """Return a person's name and zone. Raises SeloError `unknown_user`."""
    row = connection.execute(select(users.c.name, users.c.zone).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise SeloError("unknown_user", f"there is nobody {user_id[:80]!r}")
    return Person(name=row.name, zone=row.zone if is_zone(row.zone) else NO_ZONE)


def as_read(sources: Iterable[Source], zone: str) -> list[ReadSource]:
    """Return sources in the form in which a step hands them on."""
    return [
        ReadSource(
            name=f"{one.source}:{one.id}",
            text=_storable(one.text),
            at=one.at,
            local=_local(zone, one.at),
            source=one.source,
            role=one.role,
            importance=one.importance,
            tags=tuple(map(_storable, one.tags)),
            kind=None if one.kind is None else _storable(one.kind),
            told=None if one.told is None else _storable(one.told),
            tainted=one.tainted,
        )
        for one in sources
    ]


def newest_within(newest_first: Iterable[Source], budget: int) -> list[Source]:
    """Return the newest sources that fit into `budget` characters without a gap, oldest first.

    The newest one is always among them, cut to the budget if it is longer.
    """
    kept: list[Source] = []
    left = budget
    for one in newest_first:
        if len(one.as_told) > left:
            if not kept:
                kept.append(cut(one, budget))
            break
        kept.append(one)
        left -= len(one.as_told)
    return kept[::-1]


def shown(sources: Sequence[ReadSource]) -> dict[str, ReadSource]:
    """Return sources under the aliases m1…mN by which a model may cite them."""
    return {f"m{number}": one for number, one in enumerate(sources, start=1)}


def evidence_of(under: Mapping[str, ReadSource]) -> tuple[Evidence, ...]:
    """Return what a model is shown."""
    return tuple(
        Evidence(
            alias=alias,
            source=one.source,
            role=one.role,
            text=one.as_told,
            stored=None if one.told is None else one.text,
            at=one.at,
            local=one.local,
            importance=one.importance,
            tags=one.tags,
            kind=one.kind,
        )
        for alias, one in under.items()
    )


def gone_of(connection: Connection, user_id: str, names: Iterable[str]) -> set[str]:
    """Return those of some sources, as `message:ID`, that are no longer there, or never were this person's."""
    wanted = {(kind, source_id) for kind, _, source_id in (name.partition(":") for name in names)}
    gone = wanted - standing(connection, user_id, wanted)
    return {f"{kind}:{source_id}" for kind, source_id in gone}


def _storable(text: str) -> str:
    # SQLite keeps a NUL that another writer put in; the journal does not.
    return text.replace("\0", "\ufffd")


def _local(zone: str, at: datetime) -> str:
    try:
        return f"{local_date(zone, at):%Y-%m-%d} {local_label(zone, at)}"
    except SeloError:
        # Dated by another writer to a year in which no zone has rules.
        return f"{at:%Y-%m-%d %H:%M}"
