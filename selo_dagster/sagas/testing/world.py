"""What a saga may change, looked at twice and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from selo_dagster.sagas.testing.case import Case, WrongError

Row = tuple[tuple[str, str], ...]
Rows = Mapping[str, Counter[Row]]


@dataclass(frozen=True)
class World:
    """Every row that counts, by table, and what is in force outside."""

    rows: Rows
    outside: Counter[str]


@dataclass(frozen=True)
class Change:
    """What came and what went between two looks. outside: how many effects more there are."""

    came: Rows
    went: Rows
    outside: int


def look(case: Case, connection: Connection | None = None) -> World:
    """Look at everything, inside a transaction if one is given."""
    if connection is None:
        with case.store.read() as reading:
            return look(case, reading)
    found: dict[str, Counter[Row]] = {}
    for table in case.tables:
        rows = [dict(row) for row in connection.execute(select(table)).mappings()]
        found[table.name] = Counter(_frozen(row) for row in rows if not case.residue(table.name, row))
    return World(found, Counter(repr(one) for one in case.outside()))


def _frozen(row: Mapping[str, Any]) -> Row:
    return tuple((str(name), repr(value)) for name, value in row.items())


def change(before: World, after: World) -> Change:
    """Return what happened between two looks."""
    return Change(
        {name: rows - before.rows[name] for name, rows in after.rows.items()},
        {name: rows - after.rows[name] for name, rows in before.rows.items()},
        after.outside.total() - before.outside.total(),
    )


def varying(one: Change, other: Change) -> dict[str, frozenset[str]]:
    """Return the columns that differ between two undisturbed runs, such as ids: they say nothing about an effect."""
    return {
        name: _varying(one.came[name], other.came[name]) | _varying(one.went[name], other.went[name])
        for name in one.came
    }


def _varying(one: Counter[Row], other: Counter[Row]) -> frozenset[str]:
    names = {name for row in [*one, *other] for name, _ in row}
    return frozenset(name for name in names if _column(one, name) != _column(other, name))


def _column(rows: Counter[Row], name: str) -> Counter[str]:
    return Counter(dict(row)[name] for row in rows.elements())


def without(columns: Mapping[str, Collection[str]], made: Change) -> Change:
    """Return a change without the columns that vary by themselves."""

    def kept(rows: Rows) -> Rows:
        return {
            table: Counter(
                tuple((name, value) for name, value in row if name not in columns.get(table, ()))
                for row in counted.elements()
            )
            for table, counted in rows.items()
        }

    return Change(kept(made.came), kept(made.went), made.outside)


def require_same(before: World, after: World, what: str) -> None:
    """Raise WrongError unless two looks agree; says what came and what went, without values."""
    made = change(before, after)
    told = [
        f"{table}: {came.total()} rows came, {made.went[table].total()} went{_columns(came, made.went[table])}"
        for table, came in made.came.items()
        if came or made.went[table]
    ]
    if before.outside != after.outside:
        told.append(
            f"outside: {(after.outside - before.outside).total()} effects came, "
            f"{(before.outside - after.outside).total()} went"
        )
    if told:
        raise WrongError(f"{what}: {'; '.join(told)}")


def _columns(came: Counter[Row], went: Counter[Row]) -> str:
    if came.total() != 1 or went.total() != 1:
        return ""
    (now,), (then,) = came, went
    return f", changed in {', '.join(name for (name, value), (_, old) in zip(now, then, strict=True) if value != old)}"
