"""Everything that one person has in the database, found by its foreign keys: no table can be forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from selo_dagster.people.foreign_keys import ForeignKey, foreign_keys

USERS: Final = "users"
ROWS_A_STATEMENT: Final = 2_000
CARRIED: Final = "CASCADE"
CUT: Final = "SET NULL"
"""Of the other actions, each keeps a row from being deleted on which another rests."""

_ADDRESS: Final = {"postgresql": "ctid", "sqlite": "rowid"}
_PERSON: Final = "id = :person"

Spared = Mapping[str, str]
"""Table → a condition on rows that do not count as the person's, with the parameter `:spared`."""


@dataclass(frozen=True)
class Part:
    """Some rows of one table. condition: with the parameter `:person`."""

    table: str
    condition: str


@dataclass(frozen=True)
class Deleted:
    """What was deleted. rows: by table; place: of the part to go on with; whole: no part is left to go on with."""

    rows: Mapping[str, int]
    place: int
    whole: bool


@dataclass(frozen=True)
class Footprint:
    """Where a person can have rows. parts: what rests on something comes before it; `users` itself is left out.

    shared: rows of other people that would go with one of the person's. held: rows that keep one of the person's
    from being deleted.
    """

    parts: tuple[Part, ...]
    shared: tuple[Part, ...]
    held: tuple[Part, ...]

    @classmethod
    def of(cls, connection: Connection, spared: Spared | None = None) -> Footprint:
        """Read it from the database."""
        return _footprint(foreign_keys(connection), spared or {})

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables in which a person can have rows, in the order of their names."""
        return tuple(sorted([*(part.table for part in self.parts), USERS]))

    def count(self, connection: Connection, user_id: str, *, spared: str = "") -> dict[str, int]:
        """Return how many rows of a person each table has; tables without any are left out."""
        return _counted(connection, (*self.parts, Part(USERS, _PERSON)), user_id, spared)

    def others_rows(self, connection: Connection, user_id: str) -> dict[str, int]:
        """Return how many rows of other people would go with the person's, by table."""
        return _counted(connection, self.shared, user_id, "")

    def rows_that_hold(self, connection: Connection, user_id: str) -> dict[str, int]:
        """Return how many rows keep the person's from being deleted, by table."""
        return _counted(connection, self.held, user_id, "")

    def delete(
        self, connection: Connection, user_id: str, *, spared: str = "", limit: int = ROWS_A_STATEMENT, begin: int = 0
    ) -> Deleted:
        """Delete up to `limit` rows of a person, from the parts from `begin` on, in their order."""
        gone: dict[str, int] = {}
        for place in range(begin, len(self.parts)):
            part, left = self.parts[place], limit - sum(gone.values())
            if left <= 0:
                return Deleted(gone, place, whole=False)
            statement = text(_delete(connection.dialect.name, part))
            rows = connection.execute(statement, {"person": user_id, "spared": spared, "limit": left}).rowcount
            if rows:
                gone[part.table] = rows
            if rows == left:
                return Deleted(gone, place, whole=False)
        return Deleted(gone, len(self.parts), whole=True)


def _delete(dialect: str, part: Part) -> str:
    address = _ADDRESS[dialect]
    some = f"SELECT {address} FROM {part.table} WHERE {part.condition} LIMIT :limit"
    # PostgreSQL goes to rows by their addresses only where it is given these as an array.
    chosen = f"= ANY (ARRAY({some}))" if dialect == "postgresql" else f"IN ({some})"
    return f"DELETE FROM {part.table} WHERE {address} {chosen}"


def _counted(connection: Connection, parts: Collection[Part], user_id: str, spared: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        statement = text(f"SELECT count(*) FROM {part.table} WHERE {part.condition}")
        number = connection.execute(statement, {"person": user_id, "spared": spared}).scalar_one()
        if number:
            found[part.table] = found.get(part.table, 0) + int(number)
    return found


def _footprint(keys: Collection[ForeignKey], spared: Spared) -> Footprint:
    carried = _reached([key for key in keys if key.action == CARRIED and key.table != key.parent])
    owned = {USERS: _PERSON}
    left = {key.table for key in carried} - {USERS}
    while left:
        # A table comes after all on which it rests; a circle is cut where it is entered.
        entered = sorted(table for table in left if _parents(carried, table) & owned.keys())
        table = next((one for one in entered if not _parents(carried, one) & left), entered[0])
        left.remove(table)
        condition = _condition(carried, owned, table)
        owned[table] = f"({condition}) AND {spared[table]}" if table in spared else condition
    parts = tuple(Part(table, owned[table]) for table in _children_first(keys, owned))
    return Footprint(parts, tuple(_shared(carried, owned)), tuple(_held(keys, owned)))


def _children_first(keys: Collection[ForeignKey], owned: Mapping[str, str]) -> Iterator[str]:
    """Yield the tables so that no row is deleted, or cut from another, while something that goes too rests on it."""
    left = owned.keys() - {USERS}
    while left:
        bare = [one for one in left if not any(key.parent == one and key.table in left - {one} for key in keys)]
        table = min(bare or left)
        left = left - {table}
        yield table


def _reached(keys: Collection[ForeignKey]) -> list[ForeignKey]:
    """Return the keys by which something rests on a person, at whatever distance."""
    tables = {USERS}
    while grown := {key.table for key in keys if key.parent in tables} - tables:
        tables |= grown
    return [key for key in keys if key.parent in tables]


def _parents(keys: Collection[ForeignKey], table: str) -> set[str]:
    return {key.parent for key in keys if key.table == table}


def _condition(keys: Collection[ForeignKey], owned: Mapping[str, str], table: str) -> str:
    """Return which rows of a table are about the person: where it names people itself, that alone decides."""
    theirs = [key for key in keys if key.table == table and key.parent in owned]
    named = [key for key in theirs if key.parent == USERS]
    return " OR ".join(
        _of_person(key) if key.parent == USERS else key.resting_on(owned[key.parent]) for key in named or theirs
    )


def _of_person(key: ForeignKey) -> str:
    # By the id itself where it can be: it must be possible to ask once the person's own row is gone.
    return f"{key.columns[0]} = :person" if key.parent_columns == ("id",) else key.resting_on(_PERSON)


def _shared(keys: Collection[ForeignKey], owned: Mapping[str, str]) -> Iterator[Part]:
    for key in keys:
        names_people = USERS in _parents(keys, key.table)
        if key.parent != USERS and names_people:
            of_others = f"({_condition(keys, owned, key.table)}) IS NOT TRUE"
            yield Part(key.table, f"{key.resting_on(owned[key.parent])} AND {of_others}")


def _held(keys: Collection[ForeignKey], owned: Mapping[str, str]) -> Iterator[Part]:
    for key in keys:
        if key.action not in {CARRIED, CUT} and key.parent in owned:
            apart = f" AND ({owned[key.table]}) IS NOT TRUE" if key.table in owned else ""
            yield Part(key.table, f"{key.resting_on(owned[key.parent])}{apart}")
