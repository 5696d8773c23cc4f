"""Whether what was read is still there when what rests on it is stored."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, bindparam, literal_column, select, union_all

from selo_dagster.memory.tables import memories, messages
from selo_dagster.reflections.tables import reflections

TABLES: Final[dict[str, Table]] = {"message": messages, "memory": memories, "reflection": reflections}
"""Where sources of a kind lie. What is given with a request, and what was noticed, lies with what asked for it."""


class SourceGoneError(Exception):
    """Something that a claim rests on was deleted since it was read, or was never this person's."""


def require_standing(connection: Connection, user_id: str, cited: Iterable[tuple[str, str]]) -> None:
    """Raise SourceGoneError unless each cited source, as (kind, id), is there and is this person's."""
    wanted = {one for one in cited if one[0] in TABLES}
    if wanted - standing(connection, user_id, wanted):
        raise SourceGoneError("a source is gone")


def standing(connection: Connection, user_id: str, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of some sources, as (kind, id), that are there and are this person's; of any other kind all."""
    ids: dict[str, list[str]] = {}
    found: set[tuple[str, str]] = set()
    for kind, source_id in sorted(set(wanted)):
        if kind in TABLES:
            ids.setdefault(kind, []).append(source_id)
        else:
            found.add((kind, source_id))
    if ids:
        padded = {kind: some + some[-1:] * (_room(len(some)) - len(some)) for kind, some in ids.items()}
        named = {f"{kind}_{place}": one for kind, some in padded.items() for place, one in enumerate(some)}
        statement = _statement(tuple((kind, len(some)) for kind, some in padded.items()))
        rows = connection.execute(statement, {"whose": user_id, **named})
        found |= {(row.kind, row.id) for row in rows}
    return found


def _room(number: int) -> int:
    """Return the next power of two, so that there are few statements for any number of ids."""
    return 1 << (number - 1).bit_length()


@lru_cache(maxsize=64)
def _statement(wanted: tuple[tuple[str, int], ...]) -> Any:
    # Built once, and without a list that is expanded at each call: every person passes through it.
    parts = [_part(kind, number) for kind, number in wanted]
    return parts[0] if len(parts) == 1 else union_all(*parts)


def _part(kind: str, number: int) -> Select[Any]:
    table = TABLES[kind]
    ids: list[Any] = [bindparam(f"{kind}_{place}") for place in range(number)]
    return select(literal_column(f"'{kind}'").label("kind"), table.c.id).where(
        table.c.user_id == bindparam("whose"), table.c.id.in_(ids)
    )
